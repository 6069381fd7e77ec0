/**
 * The engine's calls as gRPC handlers: each turns a message into the interface's arguments and the answer into a message.
 * An error becomes a status in one way for all (status.ts).
 */
import type { handleUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { withRequest } from '../base/request.ts';
import * as wire from './convert.ts';
import type { EngineApi } from './engine-api.ts';
import type { EngineHandlers } from './generated/flashcopy/engine/v1/Engine.ts';
import type { Mapping } from './generated/flashcopy/engine/v1/Mapping.ts';
import type { Name__Output } from './generated/flashcopy/engine/v1/Name.ts';
import { REQUEST_KEY } from './service.ts';
import { statusOf } from './status.ts';

/** Calls that change nothing. */
const QUIET = /\/(Get|List|AllocatedRanges|ChangedRanges)/;

function unary<Request, Answer>(
  answer: (request: Request) => Promise<Answer>,
): handleUnaryCall<Request, Answer> {
  return (call, callback: sendUnaryData<Answer>) => {
    const request = call.metadata.get(REQUEST_KEY)[0]?.toString();
    withRequest(request, () => noted(call.getPath(), () => answer(call.request))).then(
      (value) => callback(null, value),
      (error) => callback(statusOf(error)),
    );
  };
}

/** In the log when it is over: what it was to change is durable then, or refused. */
async function noted<Answer>(path: string, act: () => Promise<Answer>): Promise<Answer> {
  const call = path.slice(path.lastIndexOf('/') + 1);
  const level = QUIET.test(path) ? 'debug' : 'info';
  const beganAt = performance.now();
  const ms = () => Math.round((performance.now() - beganAt) * 10) / 10;
  try {
    const answer = await act();
    log.log(level, 'engine call done', { call, ms: ms() });
    return answer;
  } catch (error) {
    const { name: code, message } = error as Error;
    log.log(level, 'engine call refused', { call, ms: ms(), code, error: message });
    throw error;
  }
}

export function handlersOf(api: EngineApi): EngineHandlers {
  const volumes = async (list: ReturnType<EngineApi['listVolumes']>) => ({
    volumes: (await list).map(wire.volumeToWire),
  });
  const mappings = async (list: ReturnType<EngineApi['listMappings']>) => ({
    mappings: (await list).map(wire.mappingToWire),
  });
  const volume = async (info: ReturnType<EngineApi['getVolume']>) => wire.volumeToWire(await info);
  const mapping = async (info: ReturnType<EngineApi['getMapping']>) => wire.mappingToWire(await info);
  const nothing = async (done: Promise<void>) => {
    await done;
    return {};
  };
  return {
    CreateVolume: unary(async (request) => volume(api.createVolume(wire.createVolumeFromWire(request)))),
    DeleteVolume: unary(({ name }) => nothing(api.deleteVolume(name))),
    GetVolume: unary(({ name }) => volume(api.getVolume(name))),
    ListVolumes: unary(() => volumes(api.listVolumes())),
    GrowVolume: unary(({ name, sizeBytes }) => volume(api.growVolume(name, sizeBytes))),
    AttachVolume: unary(async ({ name }) => ({ device: await api.attachVolume(name) })),
    DetachVolume: unary(({ name }) => nothing(api.detachVolume(name))),

    CreateSnapshots: unary(({ snapshots, freeze }) =>
      volumes(api.createSnapshots(snapshots.map(wire.createSnapshotFromWire), { freeze })),
    ),
    DeleteSnapshot: unary(({ name }) => nothing(api.deleteSnapshot(name))),
    CloneVolume: unary(async (request) => {
      if (!request.volume) throw new FlashCopyError('InvalidArgument', 'CloneVolume needs the new volume.');
      const created = wire.createVolumeFromWire(request.volume);
      const { source, incremental } = request;
      return volume(api.cloneVolume(source, { ...created, incremental, ...wire.copyRateOf(request) }));
    }),

    AllocatedRanges: unary(async ({ name, from, limit }) =>
      wire.rangePageToWire(await api.allocatedRanges(name, from, limit)),
    ),
    ChangedRanges: unary(async ({ base, name, from, limit }) =>
      wire.rangePageToWire(await api.changedRanges(base, name, from, limit)),
    ),

    CreateMapping: unary(async (request) => mapping(api.createMapping(wire.createMappingFromWire(request)))),
    PrepareMapping: unary(({ name }) => mapping(api.prepareMapping(name))),
    StartMappings: unary(({ names, request, freeze }) =>
      mappings(api.startMappings(names, request, { freeze })),
    ),
    SyncMapping: unary(({ name, request, freeze }) => mapping(api.syncMapping(name, request, { freeze }))),
    StopMapping: unary(({ name }) => mapping(api.stopMapping(name))),
    SetCopyRate: unary(({ name, copyRate }) => mapping(api.setCopyRate(name, copyRate))),
    DeleteMapping: unary(({ name, force }) => nothing(api.deleteMapping(name, force))),
    GetMapping: unary(({ name }) => mapping(api.getMapping(name))),
    ListMappings: unary(() => mappings(api.listMappings())),
    WatchMapping: (call) => void watch(api, call),

    StartScrub: unary(async ({ bytesPerSecond }) => wire.scrubToWire(await api.startScrub(bytesPerSecond))),
    StopScrub: unary(async () => wire.scrubToWire(await api.stopScrub())),
    GetScrub: unary(async () => wire.scrubToWire(await api.getScrub())),

    GetPool: unary(() => api.pool()),
    GetCounters: unary(() => api.counters()),
  };
}

async function watch(api: EngineApi, call: ServerWritableStream<Name__Output, Mapping>): Promise<void> {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  try {
    for await (const info of api.watchMapping(call.request.name, gone.signal)) {
      if (call.write(wire.mappingToWire(info)) || gone.signal.aborted) continue;
      // A slow reader gets fewer changes, not a longer queue.
      await new Promise<void>((resolve) => {
        call.once('drain', resolve);
        gone.signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    call.end();
  } catch (error) {
    call.emit('error', statusOf(error));
  }
}
