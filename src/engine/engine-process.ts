/**
 * The main thread of an engine process: everything that an engine does but FlashCopy itself.
 *
 * It implements EngineApi (src/api/engine-api.ts; that room checks it) by passing calls on to the data thread and adding
 * what only the main thread knows: block devices and space. It never blocks on a volume: the data thread waits for this
 * thread's commits, so a write that this thread waited for might never end.
 *
 * A volume's device is looked up in the system, not remembered: what a former engine attached is found again, and what
 * somebody else detached is gone. Nothing may take a volume's content away (delete it, cut into it) while its device is
 * in use; what concerns one volume's device happens one after the other.
 */
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type {
  CloneVolume,
  Counters,
  CreateMapping,
  CreateSnapshot,
  CreateVolume,
  CutOptions,
  MappingInfo,
  PoolInfo,
  RangePage,
  ScrubInfo,
  VolumeInfo,
} from '../base/model.ts';
import { Turns } from '../base/turns.ts';
import { HEAD_BYTES, refuseForeignMemory } from '../core/arena.ts';
import { readSharedMemory } from '../sys/shm.ts';
import { Catalog } from './catalog.ts';
import { type EngineStart, FUSE_FD, SHM_FD } from './child-messages.ts';
import { damageOf } from './data-files.ts';
import { DataLink } from './data-link.ts';
import { Devices } from './devices.ts';
import { Freezing } from './freezing.ts';
import { OwnSpace } from './own-space.ts';
import { readPool } from './pool-content.ts';
import { allocatedBytesOf, allocatedBytesOfAll, filesystemBytes, warningsOf } from './space.ts';
import { Watchers } from './watchers.ts';

/** What the core tells of a volume: its data file's path below the pool besides. */
type CoreVolume = VolumeInfo & { file: string };

export class EngineProcess {
  private readonly poolDir: string;
  private readonly catalog: Catalog;
  private readonly data: DataLink;
  private readonly devices: Devices;
  private readonly freezing: Freezing;
  private readonly ownSpace: OwnSpace;
  private readonly watchers = new Watchers();
  private readonly turns = new Turns<number>();
  private stopping = false;
  private closing: Promise<{ users: string[] }> | undefined;

  /** Recovers the pool; host I/O is served when it returns. `died`: the data thread ended by itself. */
  static async start(
    start: EngineStart,
    died: (reason: string) => void,
    thread?: URL,
  ): Promise<EngineProcess> {
    // Before the catalog comes to this program's format: the engine that alone can read that memory would refuse it then.
    if (start.shmSurvived) refuseForeignMemory(readSharedMemory(SHM_FD, HEAD_BYTES));
    const engine = new EngineProcess(start, died, thread);
    await engine.data.ready();
    // Neither is waited for: they need nothing of what comes now, and are nothing that the engine's start depends on.
    void engine.ownSpace.takeBeside();
    engine.freezing
      .thawLeftovers()
      .catch((error: Error) => log.error('could not thaw', { error: error.stack }));
    return engine;
  }

  private constructor(start: EngineStart, died: (reason: string) => void, thread?: URL) {
    const { poolDir, logBytes, shmSurvived } = start;
    this.poolDir = poolDir;
    this.ownSpace = new OwnSpace(poolDir, shmSurvived).takeFixed();
    this.catalog = Catalog.open(poolDir);
    this.devices = new Devices(start.mountDir);
    this.freezing = new Freezing(start.mountDir);
    const { migrates } = this.catalog;
    const content = readPool(poolDir, this.catalog);
    for (const { error } of content.damaged) log.error('catalog row is damaged', { error });
    this.ownSpace.countsOn(content.rows);
    this.data = new DataLink(
      { poolDir, logBytes, shmSurvived, fuseFd: FUSE_FD, shmFd: SHM_FD, migrates, ...content },
      this.catalog,
      { changed: (mapping) => this.watchers.changed(mapping), died },
      thread,
    );
  }

  /**
   * Detaches what is not in use, ends all I/O and makes it durable. While a volume is in use it refuses; not when it is
   * forced, nor on a handover: then the next engine goes on with all devices as they are. `users`: what is in use.
   *
   * May be asked again: what closes already comes to its one end, and is asked for no device any more.
   */
  async stop(forced: boolean, handover: boolean): Promise<{ users: string[] }> {
    this.stopping = true; // nothing is attached from here on
    await this.turns.idle();
    if (this.closing !== undefined) return this.closing;
    const users = await this.detachAll(forced);
    if (users.length > 0 && !handover) {
      this.stopping = false;
      return { users };
    }
    this.closing ??= this.close(users);
    return this.closing;
  }

  private async close(users: string[]): Promise<{ users: string[] }> {
    this.ownSpace.stop();
    await this.data.stop();
    this.catalog.close();
    return { users };
  }

  // Volumes

  async createVolume(request: CreateVolume): Promise<VolumeInfo> {
    return this.complete(await this.data.call('createVolume', request));
  }

  async deleteVolume(name: string): Promise<void> {
    await this.withUnused([name], 'deleted', async ([volume]) => {
      await this.devices.detach(volume!);
      await this.data.call('deleteVolume', name);
    });
  }

  async getVolume(name: string): Promise<VolumeInfo> {
    return this.complete(await this.data.call('getVolume', name));
  }

  async listVolumes(): Promise<VolumeInfo[]> {
    return this.completeAll(await this.data.call('listVolumes'));
  }

  async growVolume(name: string, sizeBytes: number): Promise<VolumeInfo> {
    const { id } = await this.data.call<CoreVolume>('getVolume', name);
    return this.turns.take([id], async () => {
      const grown = await this.data.call<CoreVolume>('growVolume', name, sizeBytes);
      await this.devices.resize(grown);
      return this.complete(grown);
    });
  }

  async attachVolume(name: string): Promise<string> {
    const { id } = await this.data.call<CoreVolume>('getVolume', name);
    if (this.stopping)
      throw new FlashCopyError('Unavailable', 'The engine is stopping and attaches nothing.');
    return this.turns.take([id], async () => {
      const volume = await this.data.call<CoreVolume>('getVolume', `#${id}`);
      // Its device would answer every read with an I/O error, and nobody could see why.
      if (volume.state !== 'online')
        throw new FlashCopyError(
          'Suspended',
          `Volume ${volume.name} is offline and cannot be attached: ${volume.error}.`,
        );
      return this.devices.attach(volume);
    });
  }

  async detachVolume(name: string): Promise<void> {
    await this.withUnused([name], 'detached', ([volume]) => this.devices.detach(volume!));
  }

  // Snapshots

  async createSnapshots(requests: CreateSnapshot[], options: CutOptions = {}): Promise<VolumeInfo[]> {
    const before = options.freeze ? new Set((await this.coreVolumes()).map(({ name }) => name)) : undefined;
    const sources = requests.map(({ source }) => source);
    const { result, whole } = await this.whileFrozen(sources, options, () =>
      this.data.call<CoreVolume[]>('createSnapshots', requests),
    );
    if (whole) return this.completeAll(result);
    const made = result.filter(({ name }) => !before?.has(name));
    for (const { id } of made) await this.data.call('deleteSnapshot', `#${id}`);
    throw notWhole('Nothing is left of the snapshots: ask again');
  }

  async deleteSnapshot(name: string): Promise<void> {
    await this.withUnused([name], 'deleted', async ([snapshot]) => {
      await this.devices.detach(snapshot!);
      await this.data.call('deleteSnapshot', name);
    });
  }

  async cloneVolume(source: string, request: CloneVolume): Promise<VolumeInfo> {
    return this.complete(await this.data.call('cloneVolume', source, request));
  }

  allocatedRanges(name: string, from: number, limit: number): Promise<RangePage> {
    return this.data.call('allocatedRanges', name, from, limit);
  }

  changedRanges(base: string, name: string, from: number, limit: number): Promise<RangePage> {
    return this.data.call('changedRanges', base, name, from, limit);
  }

  // Mappings

  createMapping(request: CreateMapping): Promise<MappingInfo> {
    return this.data.call('createMapping', request);
  }

  prepareMapping(name: string): Promise<MappingInfo> {
    return this.withUnusedTargets([name], () => this.data.call('prepareMapping', name));
  }

  startMappings(names: string[], request = '', options: CutOptions = {}): Promise<MappingInfo[]> {
    return this.cutMappings(names, options, () => this.data.call('startMappings', names, request));
  }

  syncMapping(name: string, request = '', options: CutOptions = {}): Promise<MappingInfo> {
    return this.cutMappings([name], options, () => this.data.call('syncMapping', name, request));
  }

  stopMapping(name: string): Promise<MappingInfo> {
    return this.data.call('stopMapping', name);
  }

  setCopyRate(name: string, copyRate: number): Promise<MappingInfo> {
    return this.data.call('setCopyRate', name, copyRate);
  }

  deleteMapping(name: string, force: boolean): Promise<void> {
    return this.data.call('deleteMapping', name, force);
  }

  getMapping(name: string): Promise<MappingInfo> {
    return this.data.call('getMapping', name);
  }

  listMappings(): Promise<MappingInfo[]> {
    return this.data.call('listMappings');
  }

  async *watchMapping(name: string, signal: AbortSignal): AsyncGenerator<MappingInfo> {
    if (signal.aborted) return;
    const { id } = await this.getMapping(name);
    // Watching begins before the first look, so that no change between the two is missed.
    const watch = this.watchers.watch(id, signal);
    try {
      for (;;) {
        const info = await this.mappingOrNone(id);
        if (info === undefined || signal.aborted) return;
        yield info;
        await watch.next();
      }
    } finally {
      watch.end();
    }
  }

  // The engine

  async pool(): Promise<PoolInfo> {
    const [info, space, allocatedBytes] = await Promise.all([
      this.data.call<PoolInfo>('pool'),
      filesystemBytes(this.poolDir),
      allocatedBytesOfAll(this.poolDir),
    ]);
    const { provisionedBytes } = info;
    const ofSpace = warningsOf({ ...space, provisionedBytes, allocatedBytes });
    const warnings = [...info.warnings, ...this.ownSpace.warnings, ...ofSpace];
    return { ...info, ...space, id: this.catalog.poolId, path: this.poolDir, warnings };
  }

  async startScrub(bytesPerSecond: number): Promise<ScrubInfo> {
    return this.data.call('startScrub', bytesPerSecond, damageOf(this.catalog, this.poolDir));
  }

  stopScrub(): Promise<ScrubInfo> {
    return this.data.call('stopScrub');
  }

  getScrub(): Promise<ScrubInfo> {
    return this.data.call('getScrub');
  }

  counters(): Promise<Counters> {
    return this.data.call('counters');
  }

  private async mappingOrNone(id: number): Promise<MappingInfo | undefined> {
    try {
      return await this.getMapping(`#${id}`);
    } catch (error) {
      if (error instanceof FlashCopyError && error.code === 'MappingNotFound') return undefined;
      throw error;
    }
  }

  /** Nobody uses the volumes when the action begins, and nobody attaches them before it ended. */
  private async withUnused<Result>(
    names: string[],
    what: string,
    action: (volumes: CoreVolume[]) => Promise<Result>,
  ): Promise<Result> {
    const volumes = await Promise.all(names.map((name) => this.data.call<CoreVolume>('getVolume', name)));
    const ids = volumes.map((volume) => volume.id);
    return this.turns.take(ids, async () => {
      for (const volume of volumes) {
        const user = await this.devices.userOf(volume.id);
        if (user === undefined) continue;
        throw new FlashCopyError(
          'VolumeInUse',
          `Volume ${volume.name} cannot be ${what}: ${user}. Unmount or close it first.`,
        );
      }
      return action(volumes);
    });
  }

  private async withUnusedTargets<Result>(names: string[], action: () => Promise<Result>): Promise<Result> {
    const mappings = await Promise.all(names.map((name) => this.getMapping(name)));
    const targets = mappings.map((mapping) => mapping.target);
    return this.withUnused(targets, 'overwritten', action);
  }

  private coreVolumes(): Promise<CoreVolume[]> {
    return this.data.call('listVolumes');
  }

  private async cutMappings<Result>(
    names: string[],
    options: CutOptions,
    cut: () => Promise<Result>,
  ): Promise<Result> {
    return this.withUnusedTargets(names, async () => {
      if (!options.freeze) return cut();
      const sources = (await Promise.all(names.map((name) => this.getMapping(name)))).map((m) => m.source);
      const { result, whole } = await this.whileFrozen(sources, options, cut);
      if (whole) return result;
      throw notWhole('The targets show what a power cut would leave: sync again');
    });
  }

  private async whileFrozen<Result>(
    sources: string[],
    { freeze = false }: CutOptions,
    cut: () => Promise<Result>,
  ): Promise<{ result: Result; whole: boolean }> {
    if (!freeze) return { result: await cut(), whole: true };
    const found = await Promise.all(sources.map((source) => this.data.call<CoreVolume>('getVolume', source)));
    const devices = await this.devices.all();
    const byId = new Map(found.map((volume) => [volume.id, volume]));
    const attached = [...byId.values()].filter(({ id }) => devices.has(id));
    return this.freezing.during(
      attached.map(({ id, name }) => ({ id, name, device: devices.get(id)! })),
      cut,
    );
  }

  private async detachAll(forced: boolean): Promise<string[]> {
    const attached = await this.devices.all();
    const users = [...(await this.devices.usersOf([...attached.keys()]))];
    if (users.length > 0 && !forced) return users.map(([id, user]) => `volume #${id}: ${user}`);
    const left = await Promise.all([...attached].map(([id, device]) => this.detachAtEnd(id, device, forced)));
    return left.filter((user) => user !== undefined);
  }

  /** Who keeps it from being detached. */
  private async detachAtEnd(id: number, device: string, forced: boolean): Promise<string | undefined> {
    try {
      await this.devices.detach({ id, name: `#${id}` });
    } catch (error) {
      if (!(error instanceof FlashCopyError && error.code === 'VolumeInUse')) throw error;
      if (!forced) return error.message;
      log.warn('device is left behind in use: its I/O fails from now on', { device, error: error.message });
    }
    return undefined;
  }

  private async complete(volume: CoreVolume): Promise<VolumeInfo> {
    const [completed] = await this.completeAll([volume]);
    return completed!;
  }

  private async completeAll(volumes: CoreVolume[]): Promise<VolumeInfo[]> {
    const devices = await this.devices.all();
    return Promise.all(
      volumes.map(async ({ file, ...volume }) => ({
        ...volume,
        device: devices.get(volume.id) ?? '',
        allocatedBytes: await allocatedBytesOf(path.join(this.poolDir, file)),
      })),
    );
  }
}

function notWhole(what: string): FlashCopyError {
  return new FlashCopyError(
    'WrongState',
    `The cut took longer than filesystems may be frozen, and they were thawed before it ended. ${what}, or without freezing.`,
  );
}
