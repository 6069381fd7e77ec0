/**
 * An engine reached over gRPC: the same interface and the same errors as in process.
 *
 * A call whose answer was lost is asked again (connection.ts), and has one effect nevertheless: what is created has a
 * name, a wish for a cut has an id, and what is deleted is named by its id when it is asked for again, so that a
 * namesake made meanwhile is safe.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, FlashCopyError } from '../base/errors.ts';
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
import { Connection, type Reconsider, type RemoteOptions, type Start } from './connection.ts';
import * as wire from './convert.ts';
import type { EngineApi } from './engine-api.ts';
import type { AttachVolumeResponse__Output } from './generated/flashcopy/engine/v1/AttachVolumeResponse.ts';
import type { EngineClient } from './generated/flashcopy/engine/v1/Engine.ts';
import type { ListMappingsResponse__Output } from './generated/flashcopy/engine/v1/ListMappingsResponse.ts';
import type { ListVolumesResponse__Output } from './generated/flashcopy/engine/v1/ListVolumesResponse.ts';
import type { Mapping__Output } from './generated/flashcopy/engine/v1/Mapping.ts';
import type { MappingState__Output } from './generated/flashcopy/engine/v1/MappingState.ts';
import type { RangePage__Output } from './generated/flashcopy/engine/v1/RangePage.ts';
import type { Scrub__Output } from './generated/flashcopy/engine/v1/Scrub.ts';
import type { Volume__Output } from './generated/flashcopy/engine/v1/Volume.ts';
import { errorOf } from './status.ts';

const CALL_MS = 30_000;
/** Allocating a thick volume, discarding a target, cleaning what depends on a target: work that grows with the size. */
const LONG_CALL_MS = 600_000;

/** How often to look at a mapping that is on its way into a state. */
const LOOK_MS = 100;

export class RemoteEngine implements EngineApi {
  private readonly connection: Connection;

  constructor(endpoint: string, options: RemoteOptions = {}) {
    this.connection = new Connection(endpoint, options);
  }

  close(): void {
    this.connection.close();
  }

  async createVolume(request: CreateVolume): Promise<VolumeInfo> {
    const message = wire.createVolumeToWire(request);
    return this.volume('creating a volume', LONG_CALL_MS, (o, done) =>
      this.client.createVolume(message, o, done),
    );
  }

  async deleteVolume(name: string): Promise<void> {
    const { id } = await this.getVolume(name);
    await this.call(
      `deleting ${name}`,
      CALL_MS,
      (o, done, again) => this.client.deleteVolume({ name: again ? `#${id}` : name }, o, done),
      doneIf('VolumeNotFound'),
    );
  }

  async getVolume(name: string): Promise<VolumeInfo> {
    return this.volume(`looking up ${name}`, CALL_MS, (o, done) => this.client.getVolume({ name }, o, done));
  }

  async listVolumes(): Promise<VolumeInfo[]> {
    return this.volumes('listing volumes', CALL_MS, (o, done) => this.client.listVolumes({}, o, done));
  }

  async growVolume(name: string, sizeBytes: number): Promise<VolumeInfo> {
    const message = { name, sizeBytes: wire.whole('size', sizeBytes) };
    return this.volume(`growing ${name}`, LONG_CALL_MS, (o, done) =>
      this.client.growVolume(message, o, done),
    );
  }

  async attachVolume(name: string): Promise<string> {
    const answer = await this.call<AttachVolumeResponse__Output>(`attaching ${name}`, CALL_MS, (o, done) =>
      this.client.attachVolume({ name }, o, done),
    );
    return answer.device;
  }

  async detachVolume(name: string): Promise<void> {
    await this.call(`detaching ${name}`, CALL_MS, (o, done) => this.client.detachVolume({ name }, o, done));
  }

  async createSnapshots(
    requests: CreateSnapshot[],
    { freeze = false }: CutOptions = {},
  ): Promise<VolumeInfo[]> {
    const message = {
      snapshots: requests.map((request) => ({ ...request, ...wire.copyRateOf(request) })),
      freeze,
    };
    return this.volumes('creating snapshots', LONG_CALL_MS, (o, done) =>
      this.client.createSnapshots(message, o, done),
    );
  }

  async deleteSnapshot(name: string): Promise<void> {
    const { id } = await this.getVolume(name);
    await this.call(
      `deleting ${name}`,
      CALL_MS,
      (o, done, again) => this.client.deleteSnapshot({ name: again ? `#${id}` : name }, o, done),
      doneIf('VolumeNotFound'),
    );
  }

  async cloneVolume(source: string, request: CloneVolume): Promise<VolumeInfo> {
    const volume = wire.createVolumeToWire(request);
    const message = {
      source,
      volume,
      incremental: request.incremental ?? false,
      ...wire.copyRateOf(request),
    };
    return this.volume(`cloning ${source}`, LONG_CALL_MS, (o, done) =>
      this.client.cloneVolume(message, o, done),
    );
  }

  async allocatedRanges(name: string, from: number, limit: number): Promise<RangePage> {
    const message = { name, from: wire.whole('offset', from), limit: wire.whole32('limit', limit) };
    const page = await this.call<RangePage__Output>(`looking at ${name}`, CALL_MS, (o, done) =>
      this.client.allocatedRanges(message, o, done),
    );
    return wire.rangePageFromWire(page);
  }

  async changedRanges(base: string, name: string, from: number, limit: number): Promise<RangePage> {
    const message = { base, name, from: wire.whole('offset', from), limit: wire.whole32('limit', limit) };
    const page = await this.call<RangePage__Output>(`comparing ${base} and ${name}`, CALL_MS, (o, done) =>
      this.client.changedRanges(message, o, done),
    );
    return wire.rangePageFromWire(page);
  }

  async createMapping(request: CreateMapping): Promise<MappingInfo> {
    const message = { ...request, ...wire.copyRateOf(request) };
    return this.mapping('creating a mapping', CALL_MS, (o, done) =>
      this.client.createMapping(message, o, done),
    );
  }

  async prepareMapping(name: string): Promise<MappingInfo> {
    return this.mapping(
      `preparing ${name}`,
      LONG_CALL_MS,
      (o, done) => this.client.prepareMapping({ name }, o, done),
      (refusal) => this.settled(name, refusal, 'MAPPING_STATE_PREPARING', 'MAPPING_STATE_PREPARED'),
    );
  }

  async startMappings(
    names: string[],
    request: string = randomUUID(),
    { freeze = false }: CutOptions = {},
  ): Promise<MappingInfo[]> {
    const what = `starting ${names.join(', ')}`;
    const start: Start<ListMappingsResponse__Output> = (o, done) =>
      this.client.startMappings({ names, request, freeze }, o, done);
    return this.mappings(what, LONG_CALL_MS, start, (refusal) => {
      // The first request was still under way when it was repeated, and has made the cut now.
      if (refusal.code === 'WrongState') return this.connection.call(what, LONG_CALL_MS, start);
      if (refusal.code !== 'MappingNotFound') throw refusal;
      const hint = 'The answer to the start was lost: a mapping whose copy was complete has ended by itself.';
      throw new FlashCopyError('MappingNotFound', `${refusal.message} ${hint}`, { cause: refusal });
    });
  }

  async syncMapping(
    name: string,
    request: string = randomUUID(),
    { freeze = false }: CutOptions = {},
  ): Promise<MappingInfo> {
    return this.mapping(`syncing ${name}`, LONG_CALL_MS, (o, done) =>
      this.client.syncMapping({ name, request, freeze }, o, done),
    );
  }

  async stopMapping(name: string): Promise<MappingInfo> {
    return this.mapping(
      `stopping ${name}`,
      CALL_MS,
      (o, done) => this.client.stopMapping({ name }, o, done),
      (refusal) => this.settled(name, refusal, 'MAPPING_STATE_STOPPING', 'MAPPING_STATE_STOPPED'),
    );
  }

  async setCopyRate(name: string, copyRate: number): Promise<MappingInfo> {
    const message = { name, copyRate: wire.whole32('copy rate', copyRate) };
    return this.mapping(`setting the rate of ${name}`, CALL_MS, (o, done) =>
      this.client.setCopyRate(message, o, done),
    );
  }

  async deleteMapping(name: string, force: boolean): Promise<void> {
    const { id } = await this.getMapping(name);
    await this.call(
      `deleting ${name}`,
      CALL_MS,
      (o, done, again) => this.client.deleteMapping({ name: again ? `#${id}` : name, force }, o, done),
      doneIf('MappingNotFound'),
    );
  }

  async getMapping(name: string): Promise<MappingInfo> {
    return this.mapping(`looking up ${name}`, CALL_MS, (o, done) =>
      this.client.getMapping({ name }, o, done),
    );
  }

  async listMappings(): Promise<MappingInfo[]> {
    return this.mappings('listing mappings', CALL_MS, (o, done) => this.client.listMappings({}, o, done));
  }

  async *watchMapping(name: string, signal: AbortSignal): AsyncIterable<MappingInfo> {
    await this.connection.reachable();
    if (signal.aborted) return;
    const call = this.client.watchMapping({ name });
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of call) yield wire.mappingFromWire(message);
    } catch (error) {
      if ((error as ServiceError).code !== status.CANCELLED || !signal.aborted) {
        throw errorOf(error as ServiceError, this.connection.asked(`watching ${name}`));
      }
    } finally {
      signal.removeEventListener('abort', cancel);
      call.cancel();
    }
  }

  async startScrub(bytesPerSecond: number): Promise<ScrubInfo> {
    const message = { bytesPerSecond: wire.whole('rate of the scrub', bytesPerSecond) };
    // It begins with a look at the whole catalog.
    const answer = await this.call<Scrub__Output>('starting a scrub', LONG_CALL_MS, (o, done) =>
      this.client.startScrub(message, o, done),
    );
    return wire.scrubFromWire(answer);
  }

  async stopScrub(): Promise<ScrubInfo> {
    const answer = await this.call<Scrub__Output>('stopping the scrub', CALL_MS, (o, done) =>
      this.client.stopScrub({}, o, done),
    );
    return wire.scrubFromWire(answer);
  }

  async getScrub(): Promise<ScrubInfo> {
    const answer = await this.call<Scrub__Output>('looking at the scrub', CALL_MS, (o, done) =>
      this.client.getScrub({}, o, done),
    );
    return wire.scrubFromWire(answer);
  }

  async pool(): Promise<PoolInfo> {
    return this.call<PoolInfo>('looking at the pool', CALL_MS, (o, done) => this.client.getPool({}, o, done));
  }

  async counters(): Promise<Counters> {
    return this.call<Counters>('reading counters', CALL_MS, (o, done) =>
      this.client.getCounters({}, o, done),
    );
  }

  private get client(): EngineClient {
    return this.connection.client;
  }

  private async call<Answer>(
    what: string,
    limitMs: number,
    start: Start<Answer>,
    reconsider?: Reconsider<Answer>,
  ): Promise<Answer> {
    return this.connection.call(what, limitMs, start, reconsider);
  }

  private async volume(what: string, limitMs: number, start: Start<Volume__Output>): Promise<VolumeInfo> {
    return wire.volumeFromWire(await this.call(what, limitMs, start));
  }

  private async volumes(
    what: string,
    limitMs: number,
    start: Start<ListVolumesResponse__Output>,
  ): Promise<VolumeInfo[]> {
    return (await this.call(what, limitMs, start)).volumes.map(wire.volumeFromWire);
  }

  private async mapping(
    what: string,
    limitMs: number,
    start: Start<Mapping__Output>,
    reconsider?: Reconsider<Mapping__Output>,
  ): Promise<MappingInfo> {
    return wire.mappingFromWire(await this.call(what, limitMs, start, reconsider));
  }

  private async mappings(
    what: string,
    limitMs: number,
    start: Start<ListMappingsResponse__Output>,
    reconsider?: Reconsider<ListMappingsResponse__Output>,
  ): Promise<MappingInfo[]> {
    return (await this.call(what, limitMs, start, reconsider)).mappings.map(wire.mappingFromWire);
  }

  /** The mapping, when what an earlier request began has come to its end; the refusal if it did not. */
  private async settled(
    name: string,
    refusal: FlashCopyError,
    underWay: MappingState__Output,
    end: MappingState__Output,
  ): Promise<Mapping__Output> {
    if (refusal.code !== 'WrongState') throw refusal;
    for (const until = Date.now() + LONG_CALL_MS; Date.now() < until; await sleep(LOOK_MS)) {
      const mapping = await this.call<Mapping__Output>(`looking up ${name}`, CALL_MS, (o, done) =>
        this.client.getMapping({ name }, o, done),
      );
      if (mapping.state === end) return mapping;
      if (mapping.state !== underWay) break;
    }
    throw refusal;
  }
}

/** That it is gone is what was asked for. */
function doneIf(gone: ErrorCode): Reconsider<object> {
  return async (refusal) => {
    if (refusal.code === gone) return {};
    throw refusal;
  };
}
