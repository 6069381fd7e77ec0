/**
 * An engine reached over gRPC: the same interface and the same errors as in process.
 *
 * Every call but watching has a deadline, so that nobody waits for an engine that hangs. A call during a restart of
 * the engine waits for it a few seconds; where there is no socket at all, it fails at once.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  type CallOptions,
  type ClientUnaryCall,
  credentials,
  type requestCallback,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { FlashCopyError } from '../base/errors.ts';
import type {
  CloneVolume,
  Counters,
  CreateMapping,
  CreateSnapshot,
  CreateVolume,
  MappingInfo,
  PoolInfo,
  RangePage,
  VolumeInfo,
} from '../base/model.ts';
import * as wire from './convert.ts';
import { socketPathOf } from './endpoint.ts';
import type { EngineApi } from './engine-api.ts';
import type { AttachVolumeResponse__Output } from './generated/flashcopy/engine/v1/AttachVolumeResponse.ts';
import type { EngineClient } from './generated/flashcopy/engine/v1/Engine.ts';
import type { ListMappingsResponse__Output } from './generated/flashcopy/engine/v1/ListMappingsResponse.ts';
import type { ListVolumesResponse__Output } from './generated/flashcopy/engine/v1/ListVolumesResponse.ts';
import type { Mapping__Output } from './generated/flashcopy/engine/v1/Mapping.ts';
import type { RangePage__Output } from './generated/flashcopy/engine/v1/RangePage.ts';
import type { Volume__Output } from './generated/flashcopy/engine/v1/Volume.ts';
import { engineService } from './service.ts';
import { errorOf } from './status.ts';

/** How long an engine that is being started again is waited for. */
const CONNECT_MS = 5000;
const CALL_MS = 30_000;
/** Allocating a thick volume, discarding a target, cleaning what depends on a target: work that grows with the size. */
const LONG_CALL_MS = 600_000;

type Start<Answer> = (options: CallOptions, callback: requestCallback<Answer>) => ClientUnaryCall;

export class RemoteEngine implements EngineApi {
  private readonly endpoint: string;
  private readonly socketPath: string;
  private readonly client: EngineClient;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
    this.socketPath = socketPathOf(endpoint);
    const Client = engineService();
    this.client = new Client(`unix:${this.socketPath}`, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
    });
  }

  close(): void {
    this.client.close();
  }

  async createVolume(request: CreateVolume): Promise<VolumeInfo> {
    const message = wire.createVolumeToWire(request);
    return this.volume('creating a volume', LONG_CALL_MS, (o, done) =>
      this.client.createVolume(message, o, done),
    );
  }

  async deleteVolume(name: string): Promise<void> {
    await this.call(`deleting ${name}`, CALL_MS, (o, done) => this.client.deleteVolume({ name }, o, done));
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

  async createSnapshots(requests: CreateSnapshot[]): Promise<VolumeInfo[]> {
    const message = { snapshots: requests.map((request) => ({ ...request, ...wire.copyRateOf(request) })) };
    return this.volumes('creating snapshots', LONG_CALL_MS, (o, done) =>
      this.client.createSnapshots(message, o, done),
    );
  }

  async deleteSnapshot(name: string): Promise<void> {
    await this.call(`deleting ${name}`, CALL_MS, (o, done) => this.client.deleteSnapshot({ name }, o, done));
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
    const message = { name, from: wire.whole('offset', from), limit: wire.whole('limit', limit) };
    const page = await this.call<RangePage__Output>(`looking at ${name}`, CALL_MS, (o, done) =>
      this.client.allocatedRanges(message, o, done),
    );
    return wire.rangePageFromWire(page);
  }

  async changedRanges(base: string, name: string, from: number, limit: number): Promise<RangePage> {
    const message = { base, name, from: wire.whole('offset', from), limit: wire.whole('limit', limit) };
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
    return this.mapping(`preparing ${name}`, LONG_CALL_MS, (o, done) =>
      this.client.prepareMapping({ name }, o, done),
    );
  }

  async startMappings(names: string[], request = randomUUID()): Promise<MappingInfo[]> {
    return this.mappings(`starting ${names.join(', ')}`, LONG_CALL_MS, (o, done) =>
      this.client.startMappings({ names, request }, o, done),
    );
  }

  async syncMapping(name: string, request = randomUUID()): Promise<MappingInfo> {
    return this.mapping(`syncing ${name}`, LONG_CALL_MS, (o, done) =>
      this.client.syncMapping({ name, request }, o, done),
    );
  }

  async stopMapping(name: string): Promise<MappingInfo> {
    return this.mapping(`stopping ${name}`, CALL_MS, (o, done) => this.client.stopMapping({ name }, o, done));
  }

  async setCopyRate(name: string, copyRate: number): Promise<MappingInfo> {
    const message = { name, copyRate: wire.whole('copy rate', copyRate) };
    return this.mapping(`setting the rate of ${name}`, CALL_MS, (o, done) =>
      this.client.setCopyRate(message, o, done),
    );
  }

  async deleteMapping(name: string, force: boolean): Promise<void> {
    const message = { name, force };
    await this.call(`deleting ${name}`, CALL_MS, (o, done) => this.client.deleteMapping(message, o, done));
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
    await this.reachable();
    if (signal.aborted) return;
    const call = this.client.watchMapping({ name });
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of call) yield wire.mappingFromWire(message);
    } catch (error) {
      if ((error as ServiceError).code !== status.CANCELLED || !signal.aborted) {
        throw errorOf(error as ServiceError, this.asked(`watching ${name}`));
      }
    } finally {
      signal.removeEventListener('abort', cancel);
      call.cancel();
    }
  }

  async pool(): Promise<PoolInfo> {
    return this.call<PoolInfo>('looking at the pool', CALL_MS, (o, done) => this.client.getPool({}, o, done));
  }

  async counters(): Promise<Counters> {
    return this.call<Counters>('reading counters', CALL_MS, (o, done) =>
      this.client.getCounters({}, o, done),
    );
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

  private async mapping(what: string, limitMs: number, start: Start<Mapping__Output>): Promise<MappingInfo> {
    return wire.mappingFromWire(await this.call(what, limitMs, start));
  }

  private async mappings(
    what: string,
    limitMs: number,
    start: Start<ListMappingsResponse__Output>,
  ): Promise<MappingInfo[]> {
    return (await this.call(what, limitMs, start)).mappings.map(wire.mappingFromWire);
  }

  private async call<Answer>(what: string, limitMs: number, start: Start<Answer>): Promise<Answer> {
    await this.reachable();
    return new Promise((resolve, reject) => {
      start({ deadline: Date.now() + limitMs }, (error, answer) => {
        if (error) reject(errorOf(error, this.asked(what)));
        else resolve(answer!);
      });
    });
  }

  private asked(what: string): string {
    return `${what[0]!.toUpperCase()}${what.slice(1)} (${this.endpoint})`;
  }

  private async reachable(): Promise<void> {
    const none = (found: string) =>
      new FlashCopyError(
        'Unavailable',
        `No engine answers at ${this.endpoint}: ${found}. Start one with "flashcopy standalone", or name its --endpoint.`,
      );
    if (!existsSync(this.socketPath)) throw none('there is no such socket');
    await new Promise<void>((resolve, reject) => {
      this.client.waitForReady(Date.now() + CONNECT_MS, (error) => {
        if (error) reject(none(error.message));
        else resolve();
      });
    });
  }
}
