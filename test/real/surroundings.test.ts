/**
 * Machines and pools that an engine cannot work with, or not whole: it says what is wrong, serves what it can, and
 * leaves nothing behind.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { attempt, run } from '../support/commands.ts';
import { KiB, MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';
import { loopDevicesBelow, mountsBelow } from '../support/filesystems.ts';
import { runDirectoryOf, standaloneCommand } from '../support/standalone.ts';

/** Starts an engine that is expected not to come up. Its message; and that it left no mount and no device. */
async function failsToStart(prefix: string[], pool: string): Promise<string> {
  const command = [...prefix, ...standaloneCommand(pool, `${pool}.second.sock`)];
  const runtime = runDirectoryOf(pool);
  const left = async (): Promise<unknown> => [
    existsSync(runtime),
    mountsBelow(runtime),
    await loopDevicesBelow(runtime),
  ];
  const before = await left();
  const { status, stderr } = await attempt(command[0]!, command.slice(1), { timeoutMs: 20_000 });
  assert.equal(status, 1, stderr);
  assert.deepEqual(await left(), before);
  assert.ok(!existsSync(`${pool}.second.sock`));
  assert.doesNotMatch(stderr, /\n\s+at /, 'a message for people, not a stack');
  return stderr;
}

describe('An engine that cannot start', () => {
  const suite = engineSuite({ started: false });
  const newPool = (): string => path.join(suite.directory, 'new-pool');

  it('says that it must be root', async () => {
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    assert.match(await failsToStart(asNobody, newPool()), /root/);
    assert.ok(!existsSync(newPool()));
  });

  it('names a missing /dev/fuse', async () => {
    const devices = ['null c 1 3', 'zero c 1 5', 'urandom c 1 9', 'loop-control c 10 237'];
    const nodes = devices.map((device) => `mknod -m 666 /dev/${device}`).join(' && ');
    const script = `mount -t tmpfs tmpfs /dev && ${nodes} && exec "$@"`;
    const without = ['unshare', '--mount', 'sh', '-c', script, 'sh'];
    assert.match(await failsToStart(without, newPool()), /\/dev\/fuse/);
    assert.ok(!existsSync(newPool()));
  });

  it('refuses a filesystem without direct I/O', async () => {
    const place = path.join(suite.directory, 'ramfs');
    await mkdir(place);
    await run('mount', ['-t', 'ramfs', 'ramfs', place]);
    const unmount = suite.cleanup.defer(`unmount ${place}`, () => run('umount', [place]));
    assert.match(await failsToStart([], path.join(place, 'pool')), /direct I\/O/);
    assert.deepEqual(readdirSync(place), []);
    await unmount();
  });

  it('refuses a directory with the files of others', async () => {
    const place = path.join(suite.directory, 'mistyped');
    await mkdir(path.join(place, 'photos'), { recursive: true });
    assert.match(await failsToStart([], place), /photos/);
    assert.deepEqual(readdirSync(place), ['photos']);
  });

  it('refuses a pool that has one already, and names it', async () => {
    const first = await suite.start();
    assert.match(await failsToStart([], first.pool), /in use by the engine with pid \d+/);
    await suite.engine.createVolume({ name: 'data', sizeBytes: MiB });
    await first.stop();
  });
});

describe('An engine on a damaged pool', () => {
  const suite = engineSuite({ started: false });
  const tagOf = (name: string): Promise<string> =>
    suite.whileAttached(name, (device) =>
      withDirectFile(device, 'read', async (file) => readTag(await file.read(0, SECTOR))),
    );

  before(async () => {
    await suite.whileStarted(async () => {
      for (const name of ['row', 'bitmap', 'well']) {
        const device = await suite.volume(name, 16 * MiB);
        await withDirectFile(device, 'write', (file) => file.write(0, tagSector(name)));
      }
      await suite.snapshot('bitmap', 'bitmap-snap');
      const device = await suite.engine.attachVolume('bitmap');
      await withDirectFile(device, 'write', async (file) => {
        for (let at = 0; at < 16; at++) await file.write(at * 2 * SECTOR, tagSector('changed'));
      });
    });
  });

  it('suspends a volume whose catalog row is damaged, names the row, and serves the others', async () => {
    const catalog = path.join(suite.directory, 'pool/catalog.db');
    const database = new DatabaseSync(catalog);
    const changed = database
      .prepare(
        `UPDATE row SET body = replace(body, '16777216', '16777217') WHERE tab = 'volume' AND body LIKE '%"row"%'`,
      )
      .run();
    const { key } = database.prepare(`SELECT key FROM row WHERE body LIKE '%16777217%'`).get() as {
      key: number;
    };
    database.close();
    assert.equal(changed.changes, 1);

    await suite.whileStarted(async () => {
      assert.equal(await tagOf('well'), 'well');
      assert.equal(await tagOf('bitmap-snap'), 'bitmap');
      const damaged = await suite.engine.getVolume(`#${key}`);
      assert.equal(damaged.state, 'suspended');
      assert.match(damaged.error, /catalog\.db/);
      assert.match(damaged.error, new RegExp(`\\b${key}\\b`));
      assert.match(await refused('Suspended', suite.engine.attachVolume(`#${key}`)), /catalog\.db/);
    });
  });

  it('suspends a snapshot whose bitmap file is damaged, names file and offset, and serves the others', async () => {
    const directory = path.join(suite.directory, 'pool/bitmaps');
    const sizeOf = (name: string): number => statSync(path.join(directory, name)).size;
    const [largest] = readdirSync(directory).sort((a, b) => sizeOf(b) - sizeOf(a));
    assert.ok(largest, 'there is a bitmap file');
    damageEnd(path.join(directory, largest));

    await suite.whileStarted(async () => {
      const infos = await suite.engine.listVolumes();
      const suspended = infos.filter(({ state, name }) => state === 'suspended' && name.startsWith('bitmap'));
      assert.ok(suspended.length > 0, JSON.stringify(infos));
      for (const { error } of suspended)
        assert.match(error, new RegExp(`bitmaps/${largest.replace('.', '\\.')}.*byte \\d+`));
      for (const { id } of suspended) await refused('Suspended', suite.engine.attachVolume(`#${id}`));
      assert.equal(await tagOf('well'), 'well');
    });
  });

  it('does not start on a catalog that is no catalog, and leaves it as it is', async () => {
    const pool = path.join(suite.directory, 'pool');
    const catalog = path.join(pool, 'catalog.db');
    const noise = Buffer.alloc(16 * KiB, 'not a catalog ');
    await rm(catalog);
    await writeFile(catalog, noise);
    assert.match(await failsToStart([], pool), /catalog\.db/);
    assert.ok(noise.equals(await readFile(catalog)));
  });
});

/** Turns the last byte of the file over. */
function damageEnd(file: string): void {
  const fd = openSync(file, 'r+');
  const at = fstatSync(fd).size - 1;
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0xff;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}
