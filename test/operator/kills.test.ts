/**
 * The operator is killed before and after each thing that it does to the engine or writes to the API server, one after the
 * other, and another one goes on. However often that happens, a mapping is cut once, a sync is made once, a deletion leaves
 * nothing behind, and the content is right.
 */
import assert from 'node:assert/strict';
import type { EngineApi } from '../../src/api/engine-api.ts';
import { until } from '../support/commands.ts';
import { MiB, readTag, SECTOR, tagSector, withDirectFile } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { OperatorRig } from '../support/operator-rig.ts';

const SIZE = MiB;
const CHANGES: readonly string[] = [
  'createMapping',
  'startMappings',
  'syncMapping',
  'setCopyRate',
  'deleteMapping',
];

/** Kills at the n-th act: before it has an effect, or when it had and before its answer is known. */
class Killer {
  acts = 0;
  at = Number.POSITIVE_INFINITY;
  after = false;
  dead = false;

  /** What an operator of before the kill still does must have no effect. */
  engine(real: EngineApi): EngineApi {
    return new Proxy(real, {
      get: (target, name: string) => {
        const call = (target as unknown as Record<string, unknown>)[name];
        if (typeof call !== 'function' || name === 'watchMapping') return call;
        return async (...args: unknown[]) => {
          const isKilled = CHANGES.includes(name) && this.count();
          if (this.dead || (isKilled && !this.after)) throw this.die();
          const answer = await call.apply(target, args);
          if (isKilled) throw this.die();
          return answer;
        };
      },
    });
  }

  count(): boolean {
    this.acts += 1;
    return this.acts === this.at;
  }

  die(): Error {
    this.dead = true;
    return new Error('killed');
  }
}

describe('The operator, killed in the middle', () => {
  const suite = engineSuite();
  let rig: OperatorRig;
  let killer: Killer;

  before(async () => {
    rig = await OperatorRig.start(suite);
    await rig.claim('source', SIZE);
  });

  const write = (text: string, sectors: number) =>
    suite.whileAttached('pvc-source', (device) =>
      withDirectFile(device, 'durable', (file) =>
        file.write(0, Buffer.concat(Array.from({ length: sectors }, () => tagSector(text)))),
      ),
    );
  const read = (claim: string) =>
    suite.whileAttached(`pvc-${claim}`, (device) =>
      withDirectFile(device, 'read', async (file) => readTag(await file.read(0, SECTOR))),
    );

  const isWrite = (asked: string) => /^(PUT|PATCH|POST|DELETE) \/apis\/flashcopy\.dev/.test(asked);

  /** Kills at the n-th act, and again one act later, until the work is done by the last one. */
  async function untilDone(n: number, after: boolean, done: () => boolean | undefined): Promise<number> {
    killer = new Killer();
    killer.at = n;
    killer.after = after;
    const mine = killer;
    rig.kube.before = (asked) => {
      if (!after && isWrite(asked) && mine.count()) mine.die();
      // The process is gone: nothing of it reaches the server, but the lease that it leaves behind is given back.
      if (mine.dead && !asked.includes('/leases')) throw new Error('killed');
    };
    rig.kube.after = (asked) => {
      if (after && isWrite(asked) && mine.count()) throw mine.die();
    };
    rig.run(killer.engine(rig.engine));
    await until('the operator is killed or done', () => mine.dead || done());
    await rig.stop();
    rig.kube.before = () => {};
    rig.kube.after = () => {};
    if (!mine.dead) return mine.acts;
    rig.run();
    await until('another operator has done it', done);
    await rig.stop();
    return mine.acts;
  }

  const mappingOf = (name: string) =>
    rig.kube.get<{ status?: { state?: string; pointInTime?: string } }>(rig.path('flashcopymappings', name));
  const syncOf = (name: string) =>
    rig.kube.get<{ status?: { phase?: string; copiedBytes?: number } }>(rig.path('flashcopysyncs', name));

  for (const after of [false, true]) {
    const when = after ? 'after' : 'before';

    it(`${when} each step makes one cut, one sync, and leaves nothing when it is deleted`, async function () {
      this.timeout(600_000);
      let kills = 0;
      for (let n = 1; ; n++) {
        const name = `m-${when}-${n}`;
        await rig.claim(name, SIZE);
        await write(`first ${name}`, 4);
        const before = (await rig.engine.counters()).cuts;
        rig.mapping(name, 'source', name);
        const made = await untilDone(n, after, () => mappingOf(name)?.status?.state === 'Copied');
        assert.equal((await rig.engine.counters()).cuts, before + 1, `cuts with a kill ${when} act ${n}`);
        assert.equal(await read(name), `first ${name}`);

        await write(`second ${name}`, 4);
        rig.sync(name, name);
        const synced = await untilDone(n, after, () => syncOf(name)?.status?.phase === 'Succeeded');
        assert.equal((await rig.engine.counters()).cuts, before + 2, `syncs with a kill ${when} act ${n}`);
        assert.equal(syncOf(name)?.status?.copiedBytes, 4 * SECTOR);
        assert.equal(await read(name), `second ${name}`);

        await rig.delete('flashcopymappings', name);
        const ended = await untilDone(n, after, () => mappingOf(name) === undefined);
        const left = (await rig.engine.listMappings()).filter(({ target }) => target === `pvc-${name}`);
        assert.deepEqual(left, [], `mappings left with a kill ${when} act ${n}`);
        assert.equal(await read(name), `second ${name}`);
        kills += [made, synced, ended].filter((acts) => acts >= n).length;
        // Done when nothing has so many steps.
        if (Math.max(made, synced, ended) < n) break;
      }
      console.log(`      ${kills} kills ${when} a step`);
      assert.ok(kills >= 8);
    });
  }
});
