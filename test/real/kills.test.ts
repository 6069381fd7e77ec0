/**
 * The engine's process is killed fifty times under load. Nobody sees an I/O error, nothing that was acknowledged is
 * lost, and the snapshots taken in between show their moments.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/commands.ts';
import { checksum, DirectFile, MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { type EngineSuite, engineSuite } from '../support/engine-suite.ts';
import { checkFilesystem, makeFilesystem, mount } from '../support/filesystems.ts';
import { VerifyingWriter } from '../support/fio.ts';
import { untilCopied } from '../support/standalone.ts';

const KILLS = 50;
const SLOTS = 2048;
const WRITERS = 8;
const RAW_BYTES = 64 * MiB;

/** Overwrites random sectors and knows of each which write was acknowledged last. */
class Accountant {
  readonly versions = new Array<number>(SLOTS).fill(0);
  readonly #file: DirectFile;
  #stopped = false;
  #workers: Promise<void>[] = [];

  constructor(file: DirectFile) {
    this.#file = file;
  }

  begin(): void {
    this.#stopped = false;
    // Each has its own slots, so that no two writes to one are under way together.
    this.#workers = Array.from({ length: WRITERS }, (_, worker) => this.#work(worker));
  }

  /** When it returns, no write is under way. */
  async pause(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  async #work(worker: number): Promise<void> {
    while (!this.#stopped) {
      const slot = randomInt(SLOTS / WRITERS) * WRITERS + worker;
      const version = this.versions[slot]! + 1;
      await this.#file.write(slot * SECTOR, tagSector(`slot ${slot} version ${version}`));
      this.versions[slot] = version;
    }
  }
}

async function assertVersions(device: string, versions: readonly number[], what: string): Promise<void> {
  await withDirectFile(device, 'read', async (file) => {
    const bytes = await file.read(0, SLOTS * SECTOR);
    const found = versions.map((_, slot) => readTag(bytes.subarray(slot * SECTOR, (slot + 1) * SECTOR)));
    const expected = versions.map((version, slot) =>
      version === 0 ? '' : `slot ${slot} version ${version}`,
    );
    assert.deepEqual(found, expected, what);
  });
}

/** Kills when I/O is answered again, or as soon as there is a process: in the middle of its recovery. */
async function killOnce(suite: EngineSuite, device: string, duringRecovery: boolean): Promise<void> {
  if (!duringRecovery) await withDirectFile(device, 'read', (file) => file.read(0, SECTOR));
  await sleep(randomInt(200));
  const killed = await suite.standalone.killChild();
  await until('there is another process', () => {
    const pid = suite.standalone.childPid();
    return pid !== undefined && pid !== killed;
  });
}

const answers = (suite: EngineSuite): Promise<unknown> =>
  until('the engine answers', () => suite.engine.pool().catch(() => false as const));

describe('An engine that is killed fifty times under load', () => {
  const suite = engineSuite();

  it('shows no I/O error, loses nothing acknowledged, and keeps its snapshots', async () => {
    const { engine } = suite;
    const filesystem = await suite.volume('filesystem', 256 * MiB);
    await makeFilesystem('ext4', filesystem);
    const place = path.join(suite.directory, 'mounted');
    const unmount = await mount(suite.cleanup, filesystem, place, 'ext4');
    const raw = await suite.volume('raw', RAW_BYTES);
    const target = await suite.copy('map', 'raw', 'backup');
    const file = await DirectFile.open(raw, 'write');
    const accountant = new Accountant(file);

    const verifying = new VerifyingWriter(path.join(place, 'load'), 32 * MiB, suite.cleanup);
    const moments = new Map<string, number[]>();
    accountant.begin();
    for (let kill = 0; kill < KILLS; kill++) {
      if (kill % 5 === 0) {
        await answers(suite);
        await accountant.pause();
        const name = `after-${kill}`;
        await suite.snapshot('raw', name);
        if (kill % 10 === 0) await engine.syncMapping('map');
        moments.set(name, [...accountant.versions]);
        accountant.begin();
      }
      await killOnce(suite, raw, kill % 5 === 4);
    }
    await answers(suite);
    await accountant.pause();
    await file.close();
    await verifying.end();

    await assertVersions(raw, accountant.versions, 'the volume');
    for (const [name, versions] of moments) {
      await suite.whileAttached(name, (snapshot) => assertVersions(snapshot, versions, name));
    }
    await engine.syncMapping('map');
    await untilCopied(engine, 'map');
    assert.equal(await checksum(target, RAW_BYTES), await checksum(raw, RAW_BYTES));
    await unmount();
    await checkFilesystem('ext4', filesystem);
  }).timeout(400_000);
});
