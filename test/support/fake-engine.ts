/**
 * An engine in memory that keeps EngineApi's contract as far as callers can see it without data: for tests of the API
 * and of the CLI, which must not need root, devices or time.
 */
import type { EngineApi } from '../../src/api/engine-api.ts';
import { FlashCopyError } from '../../src/base/errors.ts';
import type {
  CloneVolume,
  Counters,
  CreateMapping,
  CreateSnapshot,
  CreateVolume,
  MappingInfo,
  PoolInfo,
  RangePage,
  ScrubInfo,
  VolumeInfo,
} from '../../src/base/model.ts';

const noSignal = new AbortController().signal;

export class FakeEngine implements EngineApi {
  private readonly volumes = new Map<number, VolumeInfo>();
  private readonly mappings = new Map<number, MappingInfo>();
  /** Of each mapping, the request that made its cut. */
  private readonly requests = new Map<number, string>();
  private readonly wakes = new Set<() => void>();
  private nextId = 1;
  /** The next call fails with this. */
  failure: Error | undefined;
  /** Watchers that have not ended. */
  watching = 0;

  async createVolume(request: CreateVolume): Promise<VolumeInfo> {
    this.fail();
    const { name, sizeBytes, grainBytes = 0, provisioning = 'thin', cowFailure = 'breakSnapshot' } = request;
    const asked = { name, sizeBytes, grainBytes: grainBytes || 4096, provisioning, cowFailure };
    const existing = [...this.volumes.values()].find((volume) => volume.name === name);
    if (existing) {
      const same = Object.entries(asked).every(([key, value]) => existing[key as keyof VolumeInfo] === value);
      if (same) return existing;
      throw new FlashCopyError('AlreadyExists', `Volume ${name} exists and differs. Choose another name.`);
    }
    return this.add({ ...asked, kind: 'volume', source: '', labels: request.labels ?? {} });
  }

  async deleteVolume(name: string): Promise<void> {
    this.volumes.delete(this.volume(name).id);
  }

  async getVolume(name: string): Promise<VolumeInfo> {
    return this.volume(name);
  }

  async listVolumes(): Promise<VolumeInfo[]> {
    this.fail();
    return [...this.volumes.values()];
  }

  async growVolume(name: string, sizeBytes: number): Promise<VolumeInfo> {
    const volume = this.volume(name);
    if (sizeBytes < volume.sizeBytes)
      throw new FlashCopyError('InvalidArgument', 'A volume does not shrink.');
    volume.sizeBytes = sizeBytes;
    return volume;
  }

  async attachVolume(name: string): Promise<string> {
    const volume = this.volume(name);
    volume.device = `/dev/loop${volume.id}`;
    return volume.device;
  }

  async detachVolume(name: string): Promise<void> {
    this.volume(name).device = '';
  }

  async createSnapshots(requests: CreateSnapshot[]): Promise<VolumeInfo[]> {
    const sources = requests.map(({ source }) => this.volume(source));
    return requests.map(({ name, labels = {} }, i) =>
      this.add({ ...sources[i]!, name, labels, kind: 'snapshot', source: sources[i]!.name }),
    );
  }

  async deleteSnapshot(name: string): Promise<void> {
    return this.deleteVolume(name);
  }

  async cloneVolume(source: string, request: CloneVolume): Promise<VolumeInfo> {
    const from = this.volume(source);
    const volume = this.add({
      ...from,
      ...request,
      kind: 'volume',
      sizeBytes: request.sizeBytes || from.sizeBytes,
      source: from.name,
    });
    await this.createMapping({
      ...request,
      name: volume.name,
      source: from.name,
      target: volume.name,
    });
    return volume;
  }

  async allocatedRanges(name: string, from: number, limit: number): Promise<RangePage> {
    const { sizeBytes } = this.volume(name);
    return { ranges: [{ offset: from, length: limit }], next: from + limit, sizeBytes };
  }

  async changedRanges(base: string, name: string, from: number): Promise<RangePage> {
    this.volume(base);
    const { sizeBytes } = this.volume(name);
    return { ranges: [{ offset: from, length: sizeBytes - from }], next: null, sizeBytes };
  }

  async createMapping(request: CreateMapping): Promise<MappingInfo> {
    this.fail();
    const { name, source, target, copyRate = 50, incremental = false } = request;
    const totalBytes = this.volume(source).sizeBytes;
    this.volume(target);
    const mapping: MappingInfo = {
      ...{
        id: this.nextId++,
        name,
        source,
        target,
        state: 'idle',
        copyRate,
        incremental,
        cutAt: 0,
        totalBytes,
      },
      ...{ copiedBytes: 0, remainingBytes: totalBytes, changedBytes: 0, error: '' },
    };
    this.mappings.set(mapping.id, mapping);
    return { ...mapping };
  }

  async prepareMapping(name: string): Promise<MappingInfo> {
    return this.change(name, { state: 'prepared' });
  }

  async startMappings(names: string[], request = ''): Promise<MappingInfo[]> {
    const mappings = names.map((name) => this.mapping(name));
    if (mappings.every(({ id }) => this.isDone(id, request)))
      return mappings.map((mapping) => ({ ...mapping }));
    const going = mappings.find(({ state }) => state === 'copying');
    if (going) throw new FlashCopyError('WrongState', `Mapping ${going.name} is copying. Stop it first.`);
    for (const { id } of mappings) this.requests.set(id, request);
    return names.map((name) => this.change(name, { state: 'copying', cutAt: 1_700_000_000_000 }));
  }

  async syncMapping(name: string, request = ''): Promise<MappingInfo> {
    const { id } = this.mapping(name);
    if (this.isDone(id, request)) return this.getMapping(name);
    if (this.mapping(name).state !== 'copied') {
      throw new FlashCopyError(
        'WrongState',
        `Mapping ${name} is not copied and cannot be synced. Start it first.`,
      );
    }
    this.requests.set(id, request);
    return this.change(name, { state: 'copying' });
  }

  async stopMapping(name: string): Promise<MappingInfo> {
    return this.change(name, { state: 'stopped' });
  }

  async setCopyRate(name: string, copyRate: number): Promise<MappingInfo> {
    return this.change(name, { copyRate });
  }

  async deleteMapping(name: string, force: boolean): Promise<void> {
    const mapping = this.mapping(name);
    if (mapping.state === 'copying' && !force)
      throw new FlashCopyError('WrongState', `Mapping ${name} is copying.`);
    this.mappings.delete(mapping.id);
    this.wake();
  }

  async getMapping(name: string): Promise<MappingInfo> {
    return { ...this.mapping(name) };
  }

  async listMappings(): Promise<MappingInfo[]> {
    return [...this.mappings.values()];
  }

  async *watchMapping(name: string, signal: AbortSignal = noSignal): AsyncIterable<MappingInfo> {
    if (signal.aborted) return;
    const { id } = this.mapping(name);
    this.watching += 1;
    const wake = () => this.wake();
    signal.addEventListener('abort', wake);
    try {
      while (!signal.aborted) {
        const mapping = this.mappings.get(id);
        if (!mapping) return;
        const woken = new Promise<void>((resolve) => this.wakes.add(resolve));
        yield { ...mapping };
        await woken;
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.watching -= 1;
    }
  }

  scrub: ScrubInfo = {
    ...{ state: 'never', bytesPerSecond: 0, startedAt: 0, endedAt: 0, volume: '' },
    ...{ doneBytes: 0, totalBytes: 2 ** 30, findings: [], error: '' },
  };

  async startScrub(bytesPerSecond: number): Promise<ScrubInfo> {
    this.fail();
    this.scrub = {
      ...this.scrub,
      state: 'running',
      bytesPerSecond: bytesPerSecond || 2 ** 26,
      startedAt: 1_700_000_000_000,
    };
    return this.scrub;
  }

  async stopScrub(): Promise<ScrubInfo> {
    if (this.scrub.state === 'running') this.scrub = { ...this.scrub, state: 'stopped' };
    return this.scrub;
  }

  async getScrub(): Promise<ScrubInfo> {
    return this.scrub;
  }

  async pool(): Promise<PoolInfo> {
    this.fail();
    return {
      ...{
        id: '2f6cfb04-7a5e-4f5c-8c86-0d9c4e1ce9f0',
        path: '/pool',
        totalBytes: 2 ** 41,
        freeBytes: 2 ** 40,
        provisionedBytes: 2 ** 42,
        volumes: 3,
        snapshots: 2,
      },
      ...{ mappings: 1, retired: 0, logBytes: 2 ** 28, logUsedBytes: 4096 },
      ...{ bitmapUsedBytes: 8192, bitmapMaxBytes: 2 ** 30, warnings: ['thin', 'full'] },
    };
  }

  async counters(): Promise<Counters> {
    return {
      ...{
        hostReads: 1,
        hostWrites: 2,
        grainsCopiedOnWrite: 3,
        grainsCopiedInBackground: 4,
        grainsCleaned: 5,
      },
      ...{ logCommits: 6, cuts: 7, longestPauseUs: 8, lastPauseUs: 9 },
    };
  }

  /** What happens to a mapping by itself in a real engine. */
  change(name: string, change: Partial<MappingInfo>): MappingInfo {
    const mapping = Object.assign(this.mapping(name), change);
    mapping.remainingBytes = mapping.totalBytes - mapping.copiedBytes;
    this.wake();
    return { ...mapping };
  }

  private isDone(id: number, request: string): boolean {
    return request !== '' && this.requests.get(id) === request;
  }

  private wake(): void {
    for (const wake of this.wakes) wake();
    this.wakes.clear();
  }

  private fail(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure) throw failure;
  }

  private add(volume: Partial<VolumeInfo> & { name: string; sizeBytes: number }): VolumeInfo {
    const added: VolumeInfo = {
      ...{ kind: 'volume', grainBytes: 4096, provisioning: 'thin', cowFailure: 'breakSnapshot', source: '' },
      ...volume,
      ...{
        id: this.nextId++,
        createdAt: 1_700_000_000_000,
        device: '',
        state: 'online',
        error: '',
        allocatedBytes: 0,
        labels: volume.labels ?? {},
      },
    };
    this.volumes.set(added.id, added);
    return added;
  }

  private volume(name: string): VolumeInfo {
    this.fail();
    const found = [...this.volumes.values()].find(
      (volume) => volume.name === name || `#${volume.id}` === name,
    );
    if (found) return found;
    throw new FlashCopyError(
      'VolumeNotFound',
      `There is no volume or snapshot ${name}. See "flashcopy volume ls".`,
    );
  }

  private mapping(name: string): MappingInfo {
    this.fail();
    const found = [...this.mappings.values()].find(
      (mapping) => mapping.name === name || `#${mapping.id}` === name,
    );
    if (found) return found;
    throw new FlashCopyError('MappingNotFound', `There is no mapping ${name}. See "flashcopy map ls".`);
  }
}
