/** The program as people and scripts meet it: what it prints, where, and how it exits. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { serveEngine } from '../../src/api/server.ts';
import type { Listening } from '../../src/api/unix-listener.ts';
import { FakeEngine } from '../support/fake-engine.ts';

const program = path.resolve('bin/flashcopy.js');
const GiB = 2 ** 30;

type Outcome = { code: number; stdout: string; stderr: string };

describe('flashcopy', () => {
  let dir: string;
  let endpoint: string;
  let engine: FakeEngine;
  let server: Listening;

  beforeEach(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-cli-'));
    endpoint = `unix://${dir}/engine.sock`;
    engine = new FakeEngine();
    server = await serveEngine(engine, endpoint);
  });
  afterEach(async () => {
    await server.stop();
    fs.rmSync(dir, { recursive: true });
  });

  function execute(command: string, args: string[]): Promise<Outcome> {
    const env = { ...process.env, FLASHCOPY_ENDPOINT: endpoint };
    return new Promise((resolve) => {
      execFile(command, args, { env }, (error, stdout, stderr) => {
        resolve({ code: (error?.code as number | undefined) ?? 0, stdout, stderr });
      });
    });
  }
  const flashcopy = (...args: string[]) => execute(process.execPath, [program, ...args]);
  const shell = (script: string, ...args: string[]) => execute('bash', ['-c', script, ...args]);

  async function ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await flashcopy(...args);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    return stdout;
  }

  it('starts, stops and shows a scrub; waits for its end, and fails if it found something', async () => {
    assert.equal(await ok('scrub', 'status'), 'There was no scrub yet.\n');
    assert.match(await ok('scrub', 'start', '--rate', '200Mi'), /state +running\n(.*\n)*rate +200Mi\/s/);
    assert.match(await ok('scrub', 'stop'), /state +stopped/);
    const waiting = flashcopy('scrub', 'start', '--wait');
    while (engine.scrub.state !== 'running') await new Promise((resolve) => setTimeout(resolve, 10));
    const findings = [{ volume: 'data', file: 'volumes/1.data', offset: 4096, what: 'it cannot be read' }];
    engine.scrub = { ...engine.scrub, state: 'done', findings };
    const { code, stdout } = await waiting;
    assert.equal(code, 1);
    assert.match(stdout, /found +volumes\/1\.data at byte 4096 \(data\): it cannot be read/);
    assert.deepEqual(JSON.parse(await ok('scrub', 'status', '--output', 'json')), engine.scrub);
  });

  it('checks a pool: 0 when it is sound, 1 when something is left, 2 when it is used wrongly', async () => {
    const pool = path.join(dir, 'pool');
    assert.equal((await flashcopy('check')).code, 2);
    assert.match((await flashcopy('check', '--pool', pool)).stderr, /PoolUnsuitable/);
    fs.mkdirSync(pool);
    const tar = path.resolve('test/fixtures/format-1-closed.tar.gz');
    await execute('tar', ['-xzf', tar, '-C', pool]);
    fs.writeFileSync(path.join(pool, 'bitmaps', '1.99'), '');
    const before = await flashcopy('check', '--pool', pool);
    assert.equal(before.code, 1);
    assert.match(before.stdout, /repairable: bitmaps\/1\.99: no row .*\n +remedy: It is removed\./);
    const repaired = await flashcopy('check', '--pool', pool, '--repair');
    assert.equal(repaired.code, 0);
    assert.match(repaired.stdout, /repaired: bitmaps\/1\.99.*\n.*\n(.*\n)*sound, after repairs\n$/);
    const sound =
      /: format 1, 4 volumes, 3 snapshots, .*\nnote: The pool has format 1, and this release writes \d+\..*\nsound\n$/;
    assert.match(await ok('check', '--pool', pool), sound);
    fs.truncateSync(path.join(pool, 'volumes', '1.data'), 0);
    const damaged = await flashcopy('check', '--pool', pool, '--repair', '--output', 'json');
    assert.equal(damaged.code, 1);
    assert.deepEqual(JSON.parse(damaged.stdout).findings[0].file, 'volumes/1.data');
  });

  it('creates and lists volumes in a table, or as JSON', async () => {
    await ok('volume', 'create', 'data', '10Gi', '--grain', '64Ki', '--provisioning', 'thick');
    await ok('snapshot', 'create', 'data:before');
    assert.deepEqual((await ok('volume', 'ls')).split('\n'), [
      'ID  NAME  SIZE  USED  GRAIN  SPACE  SOURCE  DEVICE  STATE',
      '#1  data  10Gi  0     64Ki   thick  -       -       online',
      '',
    ]);
    const [volume] = JSON.parse(await ok('volume', 'ls', '--output', 'json'));
    assert.deepEqual(volume, await engine.getVolume('data'));
    assert.match(
      await ok('--output', 'table', 'snapshot', 'ls', 'data'),
      /^ID .*\n#2 +before +data +10Gi +0 +2023-11-14T22:13:20Z/,
    );
  });

  it('attaches and prints the device alone, for scripts', async () => {
    await ok('volume', 'create', 'data', '1T');
    assert.equal(await ok('volume', 'attach', 'data'), '/dev/loop1\n');
    assert.equal(await ok('volume', 'detach', 'data'), '');
    assert.match(await ok('volume', 'grow', 'data', '2T'), /1\.8Ti/);
    assert.equal(await ok('volume', 'rm', '#1'), '');
  });

  it('snapshots a group and restores', async () => {
    for (const name of ['a', 'b']) await ok('volume', 'create', name, '1Gi');
    assert.match(await ok('snapshot', 'create', 'a:a1', 'b:b1'), /#3 +a1 +a .*\n#4 +b1 +b /);
    assert.match(await ok('snapshot', 'restore', 'a1', 'again', '--copy-rate', '0'), /again +1Gi/);
    assert.equal((await engine.getMapping('again')).copyRate, 0);
    assert.equal(await ok('snapshot', 'rm', 'b1'), '');
  });

  it('snapshots and starts groups at one instant, by the names that they have in common', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await ok('volume', 'create', name, '1Gi');
    assert.match(await ok('group', 'snapshot', 'monday', 'a', 'b'), / a-monday +a .*\n.* b-monday +b /);
    await ok('map', 'create', 'ac', 'a', 'c');
    await ok('map', 'create', 'bd', 'b', 'd');
    assert.match(await ok('group', 'start', 'ac', 'bd'), / ac .*copying.*\n.* bd .*copying/);
    assert.equal(await ok('group', 'rm', 'monday', 'a', 'b'), '');
    assert.equal((await ok('snapshot', 'ls')).split('\n').length, 2);
    const { code, stderr } = await flashcopy('group', 'snapshot', 'monday', 'a', 'a');
    assert.equal(code, 2);
    assert.match(stderr, /The volume a is named twice/);
  });

  it('shows what happens now, look after look', async () => {
    await ok('volume', 'create', 'a', '1Gi');
    const text = await ok('top', '--interval', '0.1', '--count', '2');
    assert.equal(text.match(/^host +\d+ reads\/s, \d+ writes\/s$/gm)?.length, 2, text);
    const looks = (await ok('top', '--interval', '0.1', '--count', '2', '--output', 'json'))
      .trim()
      .split('\n');
    assert.deepEqual(
      looks.map((line) => typeof JSON.parse(line).perSecond.hostWrites),
      ['number', 'number'],
    );
  });

  it('leads a mapping through its life', async () => {
    for (const name of ['s', 't']) await engine.createVolume({ name, sizeBytes: GiB });
    assert.match(
      await ok('map', 'create', 'm', 's', 't', '--incremental'),
      /#3 +m +s +t +idle +0% +0 +50 +yes +-/,
    );
    assert.match(await ok('map', 'prepare', 'm'), /prepared/);
    assert.match(await ok('map', 'start', 'm'), /copying/);
    assert.match(await ok('map', 'rate', 'm', '150'), /150/);
    assert.match(await ok('map', 'stop', 'm'), /stopped/);
    assert.match(await ok('map', 'ls'), /#3 +m +s +t +stopped/);
    assert.equal(await ok('map', 'rm', 'm', '--force'), '');
  });

  it('waits for a copy and shows how far it is; done when copied, and when a plain mapping is gone', async () => {
    for (const name of ['s', 't']) await engine.createVolume({ name, sizeBytes: GiB });
    await engine.createMapping({ name: 'm', source: 's', target: 't' });
    const waiting = ok('map', 'start', 'm', '--wait');
    await untilWatched();
    engine.change('m', { copiedBytes: GiB / 2 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    engine.change('m', { copiedBytes: GiB, state: 'copied' });
    assert.equal(await waiting, 'm copying 0%\nm copying 50%\nm copied 100%\nm complete\n');

    const syncing = ok('map', 'sync', 'm', '--wait', '--output', 'json');
    await untilWatched();
    await engine.deleteMapping('m', true);
    const lines = (await syncing)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ name, state }) => [name, state]),
      [['m', 'copying']],
    );
  });

  it('fails when what it waits for stops, or cannot complete', async () => {
    for (const name of ['s', 't']) await engine.createVolume({ name, sizeBytes: GiB });
    await engine.createMapping({ name: 'm', source: 's', target: 't' });
    await engine.startMappings(['m']);
    const waiting = flashcopy('map', 'watch', 'm');
    await untilWatched();
    engine.change('m', { state: 'stopped', error: 'pool full' });
    const { code, stderr } = await waiting;
    assert.deepEqual(
      { code, stderr },
      {
        code: 1,
        stderr: 'error: WrongState: Mapping m is stopped before its copy is complete: pool full.\n',
      },
    );

    await engine.setCopyRate('m', 0);
    assert.match(
      (await flashcopy('map', 'start', 'm', '--wait')).stderr,
      /copy rate 0 .* flashcopy map rate m 50\.\n$/,
    );
  });

  it('shows the pool with its warnings, and the counters', async () => {
    assert.match(
      await ok('pool', 'show'),
      /^path +\/pool\n(.*\n)*free +1Ti \(50% of the filesystem\)\n(.*\n)*warning +thin\nwarning +full\n$/,
    );
    assert.match(await ok('counters'), /^hostReads +1\n/);
    assert.equal(JSON.parse(await ok('counters', '--output', 'json')).cuts, 7);
  });

  it('exits with 1 and one line that says why when the engine refuses', async () => {
    const { code, stdout, stderr } = await flashcopy('volume', 'rm', 'none');
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
    assert.equal(
      stderr,
      'error: VolumeNotFound: There is no volume or snapshot none. See "flashcopy volume ls".\n',
    );
  });

  it('exits with 1 when there is no engine', async () => {
    const { code, stderr } = await flashcopy('pool', 'show', '--endpoint', `unix://${dir}/none.sock`);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^error: Unavailable: No engine answers at unix:.*none\.sock: there is no such socket\. Start one .*\n$/,
    );
  });

  const misuses: [string[], RegExp][] = [
    [['volumes'], /unknown command 'volumes'/],
    [['volume', 'create', 'data'], /missing required argument 'size'/],
    [['volume', 'create', 'data', '10X'], /'10X' is invalid.*Write a size like/],
    [['volume', 'create', 'data', '0.3'], /not a whole number/],
    [['volume', 'create', 'data', '1Gi', '--provisioning', 'big'], /Allowed choices are thin, thick/],
    [['top', '--interval', '0'], /Write a number above 0/],
    [['map', 'rate', 'm', '151'], /'151' is invalid.*0 \(no background copy\) to 150/],
    [['snapshot', 'create', 'data'], /Write VOLUME:SNAPSHOT/],
    [['volume', 'ls', '--output', 'yaml'], /Allowed choices are table, json/],
    [['standalone'], /required option '--pool <dir>' not specified/],
    [['engine'], /required option '--pool <dir>' not specified/],
    [
      ['engine', '--pool', '/tmp/p', '--listen', 'host:1', '--node-id', 'n'],
      /--listen needs --tls-dir and --node-id/,
    ],
    [[], /Usage: flashcopy/],
  ];
  for (const [args, text] of misuses) {
    it(`exits with 2 when it is used wrongly: ${args.join(' ') || '(nothing)'}`, async () => {
      const { code, stdout, stderr } = await flashcopy(...args);
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' });
      assert.match(stderr, text);
    });
  }

  it('ends quietly when its reader has seen enough', async () => {
    for (const name of ['a', 'b', 'c']) await engine.createVolume({ name, sizeBytes: GiB });
    for (const args of ['volume create --help', 'volume ls', 'volume ls --output json']) {
      const { code, stdout, stderr } = await shell(`"$0" "$1" ${args} | head -1`, process.execPath, program);
      assert.deepEqual({ code, stderr, lines: stdout.split('\n').length }, { code: 0, stderr: '', lines: 2 });
      const closed = await shell(
        `"$0" "$1" ${args} | true; exit "\${PIPESTATUS[0]}"`,
        process.execPath,
        program,
      );
      assert.deepEqual(closed, { code: 0, stdout: '', stderr: '' });
    }
  });

  it('teaches: help has examples and exits with 0', async () => {
    assert.match(await ok('--help'), /Examples:\n {2}flashcopy standalone --pool/);
    assert.match(await ok('map', '--help'), /flashcopy map sync nightly --wait/);
    assert.match(await ok('snapshot', 'create', '--help'), /flashcopy snapshot create data:d1 journal:j1/);
    assert.match(await ok('--version'), /^\d+\.\d+\.\d+\n$/);
  });

  async function untilWatched(): Promise<void> {
    while (engine.watching === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
