/** A node that goes away in the midst of making a volume may have made it: no other one is asked for that name meanwhile. */
import assert from 'node:assert/strict';
import type { EngineApi } from '../../src/api/engine-api.ts';
import { FlashCopyError } from '../../src/base/errors.ts';
import type { CreateVolume, PoolInfo, VolumeInfo } from '../../src/base/model.ts';
import { controllerService } from '../../src/csi/controller.ts';
import { FixedEngines } from '../../src/csi/engines.ts';
import { Places } from '../../src/csi/places.ts';
import { refused } from '../support/engine-suite.ts';
import { FakeEngine } from '../support/fake-engine.ts';

class Node extends FakeEngine {
  isAway = false;
  /** Only when it is asked what space it has, and once. */
  isPoolAway = false;
  /** What becomes of the next volume: it is made and not told, or is being made while nobody answers. */
  next: 'told' | 'made' | 'begun' = 'told';
  freeBytes = 2 ** 40;

  override async createVolume(request: CreateVolume): Promise<VolumeInfo> {
    const { next } = this;
    this.next = 'told';
    const info = next === 'begun' ? undefined : await super.createVolume(request);
    if (next === 'told') return info!;
    this.isAway = next === 'made';
    throw away();
  }

  override async getVolume(name: string): Promise<VolumeInfo> {
    if (this.isAway) throw away();
    return super.getVolume(name);
  }

  override async pool(): Promise<PoolInfo> {
    const isAway = this.isAway || this.isPoolAway;
    this.isPoolAway = false;
    if (isAway) throw away();
    return { ...(await super.pool()), freeBytes: this.freeBytes };
  }
}

const away = () =>
  new FlashCopyError('Unavailable', 'The engine went away; what was asked may have taken effect.');

describe('A node that goes away in the midst of making a volume', () => {
  let nodes: Record<'n1' | 'n2', Node>;
  let engines: Map<string, EngineApi>;
  let create: (parameters?: Record<string, string>) => Promise<string>;

  beforeEach(() => {
    nodes = { n1: new Node(), n2: new Node() };
    nodes.n1.freeBytes += 1; // so it is the one that is asked
    engines = new Map(Object.entries(nodes));
    const controller = controllerService(new Places(new FixedEngines(engines)));
    create = async (parameters = {}) => {
      const asked = {
        ...{ name: 'volume', parameters, mutableParameters: {}, secrets: {}, volumeContentSource: null },
        volumeCapabilities: [{ accessMode: { mode: 'SINGLE_NODE_WRITER' }, block: {} }],
      };
      const { volume } = await controller.CreateVolume(
        asked as unknown as Parameters<typeof controller.CreateVolume>[0],
      );
      return volume!.volumeId!.split('/')[0]!;
    };
  });

  const made = async () =>
    (await Promise.all(Object.values(nodes).map((node) => node.listVolumes()))).map(({ length }) => length);

  it('is waited for, and has the volume that it has made', async () => {
    nodes.n1.next = 'made';
    await refused('Unavailable', create());
    assert.match(await refused('Unavailable', create()), /Node n1 .* no other node is asked/);
    nodes.n1.isAway = false;
    assert.equal(await create(), 'n1');
    assert.deepEqual(await made(), [1, 0]);
  });

  it('is asked again first where it has not made it yet, however full it is by now', async () => {
    nodes.n1.next = 'begun';
    await refused('Unavailable', create());
    nodes.n1.freeBytes = 2 ** 39;
    assert.equal(await create(), 'n1');
    assert.deepEqual(await made(), [1, 0]);
  });

  it('is asked again where the volume in the making has taken the space that it needs', async () => {
    const thick = { provisioning: 'thick' };
    nodes.n1.next = 'begun';
    await refused('Unavailable', create(thick));
    nodes.n1.freeBytes = 2 ** 30;
    assert.equal(await create(thick), 'n1');
    assert.deepEqual(await made(), [1, 0]);
  });

  it('is waited for, and no other one is asked, where it does not say what space it has', async () => {
    nodes.n1.next = 'begun';
    await refused('Unavailable', create());
    nodes.n1.isPoolAway = true;
    await refused('Unavailable', create());
    assert.equal(await create(), 'n1');
    assert.deepEqual(await made(), [1, 0]);
  });

  it('is not waited for any more when it has left', async () => {
    nodes.n1.next = 'made';
    await refused('Unavailable', create());
    engines.delete('n1');
    assert.equal(await create(), 'n2');
  });
});
