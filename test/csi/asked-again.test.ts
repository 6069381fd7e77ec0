/**
 * A copy that is asked for again while the engine has yet to say that it is made: it can be found there already, and what it
 * shows is not durable yet, or was lost (H4).
 */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { FlashCopyError } from '../../src/base/errors.ts';
import type { CloneVolume, CreateSnapshot, VolumeInfo } from '../../src/base/model.ts';
import { controllerService } from '../../src/csi/controller.ts';
import { FixedEngines } from '../../src/csi/engines.ts';
import { groupControllerService } from '../../src/csi/group-controller.ts';
import { formatId } from '../../src/csi/ids.ts';
import { Places } from '../../src/csi/places.ts';
import { refused } from '../support/engine-suite.ts';
import { FakeEngine } from '../support/fake-engine.ts';

const NODE = 'node-1';
const VOLUME = { accessMode: { mode: 'SINGLE_NODE_WRITER' }, block: {} };

/** The answer to the first request for a copy is lost; the second one is answered when it is allowed. */
class SlowToTell extends FakeEngine {
  readonly told = Promise.withResolvers<void>();
  private readonly made = new Map<string, VolumeInfo>();

  override async createSnapshots(requests: CreateSnapshot[]): Promise<VolumeInfo[]> {
    return Promise.all(
      requests.map((request) =>
        this.once(request.name, async () => (await super.createSnapshots([request]))[0]!),
      ),
    );
  }

  override async cloneVolume(source: string, request: CloneVolume): Promise<VolumeInfo> {
    return this.once(request.name, () => super.cloneVolume(source, request));
  }

  private async once(name: string, make: () => Promise<VolumeInfo>): Promise<VolumeInfo> {
    const before = this.made.get(name);
    if (before === undefined) {
      this.made.set(name, await make());
      throw new FlashCopyError(
        'Unavailable',
        'The engine went away, and what was asked may have taken effect.',
      );
    }
    await this.told.promise;
    return before;
  }
}

describe('A copy that is asked for again', () => {
  let engine: SlowToTell;
  let ids: string[];
  let copies: Record<string, () => Promise<{ id: string; ready: boolean }>>;

  beforeEach(async () => {
    engine = new SlowToTell();
    const places = new Places(new FixedEngines(new Map([[NODE, engine]])));
    const [controller, groups] = [controllerService(places), groupControllerService(places)];
    const pool = (await engine.pool()).id;
    ids = [];
    for (const name of ['a', 'b'])
      ids.push(formatId(NODE, pool, (await engine.createVolume({ name, sizeBytes: 2 ** 20 })).id));
    const [sourceVolumeId] = ids as [string];
    const none = { parameters: {}, secrets: {} };
    copies = {
      'a snapshot': async () => {
        const asked = { name: 'snapshot', sourceVolumeId, ...none };
        const { snapshot } = await controller.CreateSnapshot(asked);
        return { id: snapshot!.snapshotId!, ready: snapshot!.readyToUse! };
      },
      'a group': async () => {
        const asked = { name: 'group', sourceVolumeIds: ids, ...none };
        const { groupSnapshot } = await groups.CreateVolumeGroupSnapshot(asked);
        return { id: groupSnapshot!.groupSnapshotId!, ready: groupSnapshot!.readyToUse! };
      },
      'a clone': async () => {
        const asked = {
          ...{ name: 'clone', volumeCapabilities: [VOLUME], mutableParameters: {}, ...none },
          volumeContentSource: { volume: { volumeId: sourceVolumeId } },
        };
        const { volume } = await controller.CreateVolume(
          asked as unknown as Parameters<typeof controller.CreateVolume>[0],
        );
        return { id: volume!.volumeId!, ready: true };
      },
    };
  });

  for (const what of ['a snapshot', 'a group', 'a clone']) {
    it(`${what}, is told to be there when the engine says so`, async () => {
      await refused('Unavailable', copies[what]!());
      let told = false;
      const asked = copies[what]!().then((answer) => {
        told = true;
        return answer;
      });
      for (let n = 0; n < 100; n++) await turn();
      assert.equal(told, false, 'what it shows is not durable yet');
      engine.told.resolve();
      const { id, ready } = await asked;
      assert.ok(ready);
      assert.equal((await copies[what]!()).id, id);
    });

    it(`${what}, and is broken by now, is told as that, so that it can be deleted`, async () => {
      await refused('Unavailable', copies[what]!());
      for (const info of await engine.listVolumes())
        if (!['a', 'b'].includes(info.name))
          Object.assign(info, { state: 'suspended', error: 'a flush failed' });
      const { id, ready } = await copies[what]!();
      assert.match(id, /^node-1\//);
      assert.equal(ready, what === 'a clone');
    });

    it(`${what}, is told as it is where the engine cannot be asked for it again`, async () => {
      await refused('Unavailable', copies[what]!());
      for (const info of await engine.listVolumes())
        if (info.name === 'a') Object.assign(info, { state: 'suspended' });
      const { id } = await copies[what]!();
      await engine.deleteVolume('a');
      assert.equal((await copies[what]!()).id, id);
    });
  }
});
