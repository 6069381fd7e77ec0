/**
 * For test suites on CSI: a standalone flashcopy that serves it, asked as an orchestrator asks it, over gRPC.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import {
  type Client,
  type ClientUnaryCall,
  credentials,
  type requestCallback,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { ControllerClient } from '../../src/csi/generated/csi/v1/Controller.ts';
import type { CreateVolumeRequest } from '../../src/csi/generated/csi/v1/CreateVolumeRequest.ts';
import type { GroupControllerClient } from '../../src/csi/generated/csi/v1/GroupController.ts';
import type { IdentityClient } from '../../src/csi/generated/csi/v1/Identity.ts';
import type { NodeClient } from '../../src/csi/generated/csi/v1/Node.ts';
import type { Snapshot__Output } from '../../src/csi/generated/csi/v1/Snapshot.ts';
import type { SnapshotMetadataClient } from '../../src/csi/generated/csi/v1/SnapshotMetadata.ts';
import type { Volume__Output } from '../../src/csi/generated/csi/v1/Volume.ts';
import type { VolumeCapability } from '../../src/csi/generated/csi/v1/VolumeCapability.ts';
import { csiDefinitions } from '../../src/csi/services.ts';
import { until } from './commands.ts';
import { MiB } from './disks.ts';
import { type EngineSuite, engineSuite } from './engine-suite.ts';

const DEADLINE_MS = 60_000;

export const BLOCK: VolumeCapability = { block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } };
export const MOUNT: VolumeCapability = { mount: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } };

/** One endpoint's services. */
export class CsiClient {
  readonly identity: IdentityClient;
  readonly controller: ControllerClient;
  readonly groups: GroupControllerClient;
  readonly metadata: SnapshotMetadataClient;
  readonly node: NodeClient;

  constructor(socket: string) {
    const { Identity, Controller, GroupController, SnapshotMetadata, Node } = csiDefinitions();
    const made = [Identity, Controller, GroupController, SnapshotMetadata, Node].map(
      (Service): Client =>
        new Service(`unix:${socket}`, credentials.createInsecure(), {
          'grpc.initial_reconnect_backoff_ms': 100,
          'grpc.max_reconnect_backoff_ms': 500,
          // Not with others' clients of a socket whose server was killed.
          'grpc.use_local_subchannel_pool': 1,
        }),
    );
    [this.identity, this.controller, this.groups, this.metadata, this.node] = made as [
      IdentityClient,
      ControllerClient,
      GroupControllerClient,
      SnapshotMetadataClient,
      NodeClient,
    ];
  }

  close(): void {
    for (const client of [this.identity, this.controller, this.groups, this.metadata, this.node])
      client.close();
  }

  async untilReady(): Promise<void> {
    await until('CSI is ready', async () => {
      try {
        return (await ask(this.identity, 'probe', {})).ready?.value;
      } catch (error) {
        if ((error as ServiceError).code === status.UNAVAILABLE) return false;
        throw error;
      }
    });
  }

  /** 16 MiB to be used as a block device, unless something else is asked for. */
  async createVolume(request: CreateVolumeRequest & { name: string }): Promise<Volume__Output> {
    const { volume } = await ask(this.controller, 'createVolume', {
      capacityRange: { requiredBytes: 16 * MiB },
      volumeCapabilities: [BLOCK],
      ...request,
    });
    return volume!;
  }

  deleteVolume(volumeId: string): Promise<unknown> {
    return ask(this.controller, 'deleteVolume', { volumeId });
  }

  async createSnapshot(sourceVolumeId: string, name: string, copyRate?: number): Promise<Snapshot__Output> {
    const parameters: Record<string, string> = copyRate === undefined ? {} : { copyRate: `${copyRate}` };
    const { snapshot } = await ask(this.controller, 'createSnapshot', { sourceVolumeId, name, parameters });
    return snapshot!;
  }

  deleteSnapshot(snapshotId: string): Promise<unknown> {
    return ask(this.controller, 'deleteSnapshot', { snapshotId });
  }

  restore(snapshotId: string, request: CreateVolumeRequest & { name: string }): Promise<Volume__Output> {
    return this.createVolume({ volumeContentSource: { snapshot: { snapshotId } }, ...request });
  }

  clone(volumeId: string, request: CreateVolumeRequest & { name: string }): Promise<Volume__Output> {
    return this.createVolume({ volumeContentSource: { volume: { volumeId } }, ...request });
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the parameters are inferred from the method that is named
type Method = (...args: any[]) => ClientUnaryCall;
type RequestOf<M> = M extends (request: infer Request, callback: never) => ClientUnaryCall ? Request : never;
type AnswerOf<M> = M extends (request: never, callback: requestCallback<infer Answer>) => ClientUnaryCall
  ? Answer
  : never;

/** One call, as a promise, with a deadline. */
export function ask<C extends Client, Name extends keyof C & string>(
  client: C,
  method: Name,
  request: RequestOf<C[Name]>,
): Promise<AnswerOf<C[Name]>> {
  return new Promise((resolve, reject) => {
    const call = (client[method] as Method).bind(client);
    call(request, { deadline: Date.now() + DEADLINE_MS }, (error: ServiceError | null, answer: unknown) =>
      error ? reject(error) : resolve(answer as AnswerOf<C[Name]>),
    );
  });
}

/** The call fails with this status, and says why. The answer is the message. */
export async function refusedWith(code: keyof typeof status, promise: Promise<unknown>): Promise<string> {
  let message = '';
  await assert.rejects(promise, (error: ServiceError) => {
    assert.equal(status[error.code], code, error.message);
    message = error.details;
    return message.length > 20;
  });
  return message;
}

export class CsiSuite {
  readonly engines: EngineSuite;
  #client: CsiClient | undefined;

  constructor(engines: EngineSuite) {
    this.engines = engines;
  }

  get csi(): CsiClient {
    if (!this.#client) throw new Error('CSI of this suite did not start');
    return this.#client;
  }

  get socket(): string {
    return `${this.engines.directory}/csi.sock`;
  }

  /** The engine's socket, where everything is served. */
  get engineSocket(): string {
    return this.engines.standalone.endpoint;
  }

  async start(): Promise<void> {
    const { socket } = this;
    const standalone = await this.engines.start(undefined, [
      ...['--csi-endpoint', `unix://${socket}`],
      ...['--node-id', 'node-1'],
    ]);
    const client = new CsiClient(socket);
    this.#client = client;
    this.engines.cleanup.defer('end the CSI connections', async () => {
      client.close();
      await standalone.stop();
      assert.ok(!existsSync(socket), 'the CSI socket is gone');
    });
    await client.untilReady();
  }

  /** How the engine calls what has this id. */
  nameOf(id: string): string {
    return `#${id.split('/').at(-1)}`;
  }

  /** Uses what is below a device: attaching and detaching some hundred of them takes the kernel its time. */
  async onServedFile<T>(id: string, use: (file: string) => Promise<T>): Promise<T> {
    return use(await this.engines.servedFile(this.nameOf(id)));
  }

  /** Uses the device of a volume or snapshot. */
  onDevice<T>(id: string, use: (device: string) => Promise<T>): Promise<T> {
    return this.engines.whileAttached(this.nameOf(id), use);
  }
}

/** Call it in a `describe`. */
export function csiSuite(): CsiSuite {
  const suite = new CsiSuite(engineSuite({ started: false }));
  before(() => suite.start());
  return suite;
}
