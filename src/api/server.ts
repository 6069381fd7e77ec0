/**
 * Serves an EngineApi over gRPC on a unix socket.
 *
 * Who may open the socket may do everything, so only its owner can: mode 0600 from the instant it exists, in a
 * directory of mode 0700 if that had to be made. A socket that a dead engine left is replaced; one that is answered
 * is not.
 */
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { FlashCopyError } from '../base/errors.ts';
import * as wire from './convert.ts';
import { socketPathOf } from './endpoint.ts';
import type { EngineApi } from './engine-api.ts';
import type { EngineHandlers } from './generated/flashcopy/engine/v1/Engine.ts';
import type { Mapping } from './generated/flashcopy/engine/v1/Mapping.ts';
import type { Name__Output } from './generated/flashcopy/engine/v1/Name.ts';
import { engineService } from './service.ts';
import { statusOf } from './status.ts';

/** How long calls under way may take to end when the server stops. */
const STOP_MS = 5000;

export type ApiServer = {
  /** No new calls; those under way may end; then the socket is gone. */
  stop(): Promise<void>;
};

export async function serveEngine(api: EngineApi, endpoint: string): Promise<ApiServer> {
  const socketPath = socketPathOf(endpoint);
  mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o700 });
  if (await isAnswered(socketPath)) {
    throw new FlashCopyError(
      'Unavailable',
      `The endpoint ${endpoint} is served by another process. Stop it, or choose another endpoint.`,
    );
  }
  // Made beside its place and then moved there: somebody who looks during a restart finds the old socket or the new.
  const fresh = `${socketPath}.new`;
  rmSync(fresh, { force: true });

  const server = new Server();
  server.addService(engineService().service, handlersOf(api));
  await bind(server, fresh);
  renameSync(fresh, socketPath);
  return { stop: () => stop(server, socketPath) };
}

function bind(server: Server, socketPath: string): Promise<void> {
  // The mask holds while the socket is made, which happens before bindAsync returns or in the next turns of the loop.
  const mask = process.umask(0o177);
  return new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => {
      process.umask(mask);
      if (error) {
        reject(
          new FlashCopyError('Unavailable', `The socket ${socketPath} could not be made: ${error.message}.`),
        );
        return;
      }
      chmodSync(socketPath, 0o600);
      resolve();
    });
  });
}

async function stop(server: Server, socketPath: string): Promise<void> {
  const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const timer = setTimeout(() => server.forceShutdown(), STOP_MS);
  await ended;
  clearTimeout(timer);
  rmSync(socketPath, { force: true });
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // ENOENT: none; ECONNREFUSED: left behind. Anything else shows when the socket is made.
    socket.once('error', () => resolve(false));
  });
}

function unary<Request, Answer>(
  answer: (request: Request) => Promise<Answer>,
): handleUnaryCall<Request, Answer> {
  return (call, callback: sendUnaryData<Answer>) => {
    answer(call.request).then(
      (value) => callback(null, value),
      (error) => callback(statusOf(error)),
    );
  };
}

function handlersOf(api: EngineApi): EngineHandlers {
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

    CreateSnapshots: unary(({ snapshots }) =>
      volumes(api.createSnapshots(snapshots.map(wire.createSnapshotFromWire))),
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
    StartMappings: unary(({ names, request }) => mappings(api.startMappings(names, request))),
    SyncMapping: unary(({ name, request }) => mapping(api.syncMapping(name, request))),
    StopMapping: unary(({ name }) => mapping(api.stopMapping(name))),
    SetCopyRate: unary(({ name, copyRate }) => mapping(api.setCopyRate(name, copyRate))),
    DeleteMapping: unary(({ name, force }) => nothing(api.deleteMapping(name, force))),
    GetMapping: unary(({ name }) => mapping(api.getMapping(name))),
    ListMappings: unary(() => mappings(api.listMappings())),
    WatchMapping: (call) => void watch(api, call),

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
