/** A supervisor keeps what must outlive an engine, starts engines again, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Backoff } from '../../src/engine/backoff.ts';
import { runDirOf } from '../../src/engine/run-dir.ts';
import { mountAt, mounts } from '../../src/sys/mount.ts';

type Line = Record<string, unknown>;

class Supervisor {
  readonly lines: Line[] = [];
  stderr = '';
  readonly process: ChildProcess;
  /** The process is gone. */
  readonly exited: Promise<unknown>;
  /** And everything that it and its engine wrote has been read: the exit code. */
  readonly ended: Promise<number | string | null>;

  constructor(dir: string, mode: string, program: string) {
    const script = path.resolve('test/support/run-supervisor.ts');
    const args = [script, path.join(dir, 'pool'), path.join(dir, 'run'), mode, program];
    this.process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let rest = '';
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop()!;
      for (const part of parts) this.lines.push(JSON.parse(part));
    });
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = once(this.process, 'exit');
    this.ended = new Promise((resolve) =>
      this.process.once('close', (code, signal) => resolve(code ?? signal)),
    );
  }

  /** The engines' lines that have this key. */
  having(key: string): Line[] {
    return this.lines.filter((line) => key in line);
  }

  /** The supervisor's own log. */
  logged(message: RegExp): boolean {
    return this.stderr.split('\n').some((line) => message.test(line));
  }

  async until(what: () => boolean): Promise<void> {
    for (let tries = 0; !what(); tries++) {
      assert.ok(tries < 500, `it did not come to it:\n${this.stderr}\n${JSON.stringify(this.lines)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe('supervisor', function () {
  this.timeout(20_000);
  let dir: string;
  let started: Supervisor[];

  before(function () {
    if (process.geteuid?.() !== 0) this.skip();
  });
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-supervisor-'));
    started = [];
  });
  afterEach(async () => {
    for (const supervisor of started) {
      for (const { pid } of supervisor.having('runs')) if (alive(pid)) process.kill(pid as number, 'SIGKILL');
      supervisor.process.kill('SIGKILL');
      await supervisor.ended;
    }
    assert.deepEqual(ourMounts(), []);
    fs.rmSync(dir, { recursive: true });
  });

  const ourMounts = () => mounts().filter(({ directory }) => directory.startsWith(dir));
  const run = () => runDirOf(path.join(dir, 'pool'), path.join(dir, 'run'));
  const start = (mode: string, program = process.execPath) => {
    const supervisor = new Supervisor(dir, mode, program);
    started.push(supervisor);
    return supervisor;
  };
  const ready = (supervisor: Supervisor, runs = 1) =>
    supervisor.until(
      () => supervisor.having('runs').some((line) => line['runs'] === runs) && supervisor.logged(/is ready/),
    );

  it('mounts, gives the engine its descriptors, stops it, and leaves only the pool', async () => {
    const supervisor = start('serve');
    await ready(supervisor);
    const [{ pid, fuse, lock, pool } = {}] = supervisor.having('runs');
    const poolDir = path.join(dir, 'pool');
    assert.deepEqual([fuse, lock, pool], ['/dev/fuse', path.join(poolDir, 'engine.lock'), poolDir]);
    assert.equal(mountAt(run().mountDir)?.type, 'fuse.flashcopy');
    assert.equal(fs.readFileSync(run().pidFile, 'utf8'), `${pid}\n`);
    const { start: told } = supervisor.having('start')[0] as { start: Line };
    assert.deepEqual(told, {
      poolDir: path.join(dir, 'pool'),
      mountDir: run().mountDir,
      endpoint: 'unix:///nowhere',
      lives: { restarts: 0 },
      logBytes: 8 * 1024 * 1024,
      shmSurvived: false,
    });
    supervisor.process.kill('SIGTERM');
    assert.equal(await supervisor.ended, 0);
    assert.ok(!fs.existsSync(run().dir));
    assert.deepEqual(fs.readdirSync(path.join(dir, 'pool')).sort(), [
      'bitmaps',
      'engine.lock',
      'log',
      'volumes',
    ]);
  });

  it('starts an engine that was killed again at once, with the shared memory that it had', async () => {
    const supervisor = start('serve');
    await ready(supervisor);
    for (let runs = 2; runs <= 6; runs++) {
      const killedAt = Date.now();
      process.kill(supervisor.having('runs').at(-1)!['pid'] as number, 'SIGKILL');
      await ready(supervisor, runs);
      assert.ok(Date.now() - killedAt < 2000);
      assert.ok(supervisor.logged(/engine died and is started again.*signal SIGKILL/));
    }
    const starts = supervisor.having('start').map((line) => (line['start'] as Line)['shmSurvived']);
    assert.deepEqual(starts, [false, true, true, true, true, true]);
    const { lives } = supervisor.having('start').at(-1)!['start'] as {
      lives: { restarts: number; last: Line };
    };
    assert.deepEqual([lives.restarts, lives.last['reason']], [5, 'SIGKILL']);
    supervisor.process.kill('SIGTERM');
    assert.equal(await supervisor.ended, 0);
  });

  it('starts an engine again when its program is there again, and tries until then', async () => {
    const program = path.join(dir, 'node');
    fs.symlinkSync(process.execPath, program);
    const supervisor = start('serve', program);
    await ready(supervisor);
    fs.rmSync(program);
    process.kill(supervisor.having('runs')[0]!['pid'] as number, 'SIGKILL');
    await supervisor.until(() =>
      supervisor.logged(/engine died.*ENOENT.*"delayMs":250|"delayMs":250.*ENOENT/),
    );
    assert.ok(mountAt(run().mountDir));
    fs.symlinkSync(process.execPath, program);
    await ready(supervisor, 2);
    supervisor.process.kill('SIGTERM');
    assert.equal(await supervisor.ended, 0);
  });

  it('says why an engine cannot be started whose program was never there, and leaves nothing', async () => {
    const supervisor = start('serve', path.join(dir, 'nothing'));
    assert.equal(await supervisor.ended, 1);
    assert.match(supervisor.stderr, /^Internal: The engine process could not be started: .*ENOENT/m);
    assert.ok(!fs.existsSync(run().dir));
  });

  it('starts an engine again when its pid cannot be written down', async () => {
    const supervisor = start('serve');
    await ready(supervisor);
    // Where nothing can be written, as when the disk is full.
    fs.rmSync(run().pidFile);
    fs.mkdirSync(run().pidFile);
    process.kill(supervisor.having('runs')[0]!['pid'] as number, 'SIGKILL');
    await ready(supervisor, 2);
    fs.rmdirSync(run().pidFile);
    supervisor.process.kill('SIGTERM');
    assert.equal(await supervisor.ended, 0);
  });

  it('goes on when nobody reads its log any more', async () => {
    const supervisor = start('serve');
    await ready(supervisor);
    supervisor.process.stderr!.destroy();
    for (let runs = 2; runs <= 3; runs++) {
      process.kill(supervisor.having('runs').at(-1)!['pid'] as number, 'SIGKILL');
      await supervisor.until(() => supervisor.having('runs').some((line) => line['runs'] === runs));
    }
    supervisor.process.kill('SIGTERM');
    assert.equal(await supervisor.ended, 0);
  });

  it('says with which code an engine died', async () => {
    const supervisor = start('crash');
    await ready(supervisor, 4);
    assert.ok(supervisor.logged(/"delayMs":0.*exit code 3|exit code 3.*"delayMs":0/));
    supervisor.process.kill('SIGINT');
    assert.equal(await supervisor.ended, 0);
  });

  it('says what an engine said before it ended itself, and does not take that for a kill from outside', async () => {
    const supervisor = start('sick');
    await ready(supervisor, 2);
    assert.ok(supervisor.logged(/engine died.*"reason":"The catalog cannot be written\."/));
    const { lives } = supervisor.having('start').at(-1)!['start'] as {
      lives: { restarts: number; last: { reason: string } };
    };
    assert.deepEqual([lives.restarts, lives.last.reason], [1, 'Internal']);
    supervisor.process.kill('SIGINT');
    assert.equal(await supervisor.ended, 0);
  });

  it('does not start again what cannot start: it says why and leaves nothing', async () => {
    const supervisor = start('fail');
    assert.equal(await supervisor.ended, 1);
    assert.match(supervisor.stderr, /^Damaged: The catalog is damaged\.$/m);
    assert.equal(supervisor.having('start').length, 1);
    assert.ok(!fs.existsSync(run().dir));
  });

  it('goes on when volumes are in use and says which; a second request forces', async () => {
    const supervisor = start('busy');
    await ready(supervisor);
    supervisor.process.kill('SIGTERM');
    await supervisor.until(() => supervisor.logged(/volumes are in use.*volume #1: mounted at \/mnt/));
    assert.ok(mountAt(run().mountDir));
    supervisor.process.kill('SIGTERM');
    assert.equal(await supervisor.ended, 0);
    assert.deepEqual(
      supervisor.having('forced').map((line) => line['forced']),
      [false, true],
    );
  });

  it('refuses a pool that has an engine, by the pid of its supervisor, or of an engine that outlived it', async () => {
    const first = start('serve');
    await ready(first);
    const second = start('serve');
    assert.equal(await second.ended, 1);
    assert.match(
      second.stderr,
      new RegExp(`^PoolLocked: .* in use by the engine with pid ${first.process.pid}\\.`, 'm'),
    );

    first.process.kill('SIGKILL');
    await first.exited;
    const third = start('serve');
    assert.equal(await third.ended, 1);
    assert.match(
      third.stderr,
      new RegExp(`in use by the engine with pid ${first.having('runs')[0]!['pid']}\\.`),
    );
    process.kill(first.having('runs')[0]!['pid'] as number, 'SIGKILL');
    await start('fail').ended; // clears the mount
  });

  it('refuses it too when somebody has removed its lock file, and leaves the mount that is served alone', async () => {
    const first = start('serve');
    await ready(first);
    const { device } = mountAt(run().mountDir)!;
    const refused = async () => {
      fs.rmSync(path.join(dir, 'pool', 'engine.lock'), { force: true });
      const other = start('serve');
      assert.equal(await other.ended, 1);
      assert.match(other.stderr, /^PoolLocked: /m);
      assert.equal(mountAt(run().mountDir)?.device, device);
    };
    await refused();
    first.process.kill('SIGKILL');
    await first.exited;
    await refused(); // by the engine that outlived it
    process.kill(first.having('runs')[0]!['pid'] as number, 'SIGKILL');
    await start('fail').ended; // clears the mount
  });

  it('clears away what a supervisor left that was killed with its engine', async () => {
    const first = start('serve');
    await ready(first);
    first.process.kill('SIGKILL');
    process.kill(first.having('runs')[0]!['pid'] as number, 'SIGKILL');
    await first.ended;
    assert.equal(ourMounts().length, 1);

    const second = start('serve');
    await ready(second);
    assert.equal(ourMounts().length, 1);
    second.process.kill('SIGTERM');
    assert.equal(await second.ended, 0);
    assert.ok(!fs.existsSync(run().dir));
  });
});

describe('the pause before an engine is started again', () => {
  it('is none for three deaths, then doubles to five seconds; a long life makes it none again', () => {
    const backoff = new Backoff();
    const delays = Array.from({ length: 10 }, () => backoff.next(1000));
    assert.deepEqual(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
    assert.equal(backoff.next(60_000), 0);
    assert.equal(backoff.next(1000), 0);
  });
});

function alive(pid: unknown): boolean {
  return fs.existsSync(`/proc/${pid}`);
}
