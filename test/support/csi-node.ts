/**
 * The CSI node service of a real engine, served on a unix socket and called over it, with paths like kubelet's.
 *
 * What a test stages and publishes is taken away again after its suite, so that the engine can stop.
 */
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import type { NodeClient } from '../../src/csi/generated/csi/v1/Node.ts';
import type { NodeGetVolumeStatsResponse__Output } from '../../src/csi/generated/csi/v1/NodeGetVolumeStatsResponse.ts';
import type { VolumeCapability } from '../../src/csi/generated/csi/v1/VolumeCapability.ts';
import { formatId } from '../../src/csi/ids.ts';
import { nodeService } from '../../src/csi/node/node-service.ts';
import { serveCsi } from '../../src/csi/server.ts';
import { csiDefinitions } from '../../src/csi/services.ts';
import { attempt, run } from './commands.ts';
import type { EngineSuite } from './engine-suite.ts';
import { mountsBelow } from './filesystems.ts';

export const NODE = 'node-1';

type Callback<Answer> = (error: ServiceError | null, answer?: Answer) => void;

export type Mode = NonNullable<NonNullable<VolumeCapability['accessMode']>['mode']>;
export type Wish = { access?: 'mount' | 'block'; fsType?: string; mountFlags?: string[]; mode?: Mode };

export function capability({ access = 'mount', fsType = '', mountFlags = [], mode }: Wish): VolumeCapability {
  return {
    accessMode: { mode: mode ?? 'SINGLE_NODE_WRITER' },
    ...(access === 'block' ? { block: {} } : { mount: { fsType, mountFlags } }),
  };
}

export class CsiNode {
  readonly #suite: EngineSuite;
  readonly client: NodeClient;
  #poolId = '';

  private constructor(suite: EngineSuite, client: NodeClient) {
    this.#suite = suite;
    this.client = client;
  }

  static async start(suite: EngineSuite): Promise<CsiNode> {
    const endpoint = path.join(suite.directory, 'csi.sock');
    const server = await serveCsi(
      { Node: nodeService({ engine: suite.engine, nodeId: NODE }) },
      `unix://${endpoint}`,
    );
    suite.cleanup.defer('stop the node service', () => server.stop());
    const { Node } = csiDefinitions();
    const client = new Node(`unix:${endpoint}`, credentials.createInsecure());
    suite.cleanup.defer('close the client', () => client.close());
    const node = new CsiNode(suite, client);
    node.#poolId = (await suite.engine.pool()).id;
    await mkdir(node.place('staging'), { recursive: true });
    await mkdir(node.place('pods'), { recursive: true });
    suite.cleanup.defer('unmount what was published and staged', () => node.#unmountAll());
    return node;
  }

  async #unmountAll(): Promise<void> {
    for (const mount of mountsBelow(this.place('pods')).reverse()) await run('umount', [mount]);
    for (const mount of mountsBelow(this.place('staging')).reverse()) await run('umount', [mount]);
    for (const { id, device } of await this.#suite.engine.listVolumes())
      if (device !== '') await this.#suite.engine.detachVolume(`#${id}`);
  }

  place(name: string): string {
    return path.join(this.#suite.directory, name);
  }

  /** Where kubelet would stage the volume, and publish it for a pod. */
  staging = (name: string): string => this.place(`staging/${name}`);
  target = (name: string, pod = 'pod'): string => this.place(`pods/${name}-${pod}`);

  idOf(engineId: number): string {
    return formatId(NODE, this.#poolId, engineId);
  }

  async id(name: string): Promise<string> {
    return this.idOf((await this.#suite.engine.getVolume(name)).id);
  }

  call<Answer>(start: (done: Callback<Answer>) => unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      start((error, answer) => (error ? reject(error) : resolve(answer!)));
    });
  }

  async stage(name: string, wish: Wish = {}, stagingTargetPath = this.staging(name)): Promise<void> {
    const volumeId = await this.id(name);
    const request = { volumeId, stagingTargetPath, volumeCapability: capability(wish) };
    await this.call((done) => this.client.nodeStageVolume(request, done));
  }

  async unstage(name: string, stagingTargetPath = this.staging(name)): Promise<void> {
    const volumeId = await this.id(name);
    await this.call((done) => this.client.nodeUnstageVolume({ volumeId, stagingTargetPath }, done));
  }

  async publish(name: string, wish: Wish & { readonly?: boolean; pod?: string } = {}): Promise<string> {
    const targetPath = this.target(name, wish.pod);
    const request = {
      volumeId: await this.id(name),
      stagingTargetPath: this.staging(name),
      targetPath,
      volumeCapability: capability(wish),
      readonly: wish.readonly ?? false,
    };
    await this.call((done) => this.client.nodePublishVolume(request, done));
    return targetPath;
  }

  async unpublish(name: string, pod?: string): Promise<void> {
    const request = { volumeId: await this.id(name), targetPath: this.target(name, pod) };
    await this.call((done) => this.client.nodeUnpublishVolume(request, done));
  }

  async stats(name: string, volumePath = this.target(name)) {
    const volumeId = await this.id(name);
    return this.call<NodeGetVolumeStatsResponse__Output>((done) =>
      this.client.nodeGetVolumeStats({ volumeId, volumePath }, done),
    );
  }

  async expand(name: string, volumePath: string, wish: Wish = {}): Promise<number> {
    const request = { volumeId: await this.id(name), volumePath, volumeCapability: capability(wish) };
    const { capacityBytes } = await this.call<{ capacityBytes: number }>((done) =>
      this.client.nodeExpandVolume(request, done),
    );
    return capacityBytes;
  }

  /** Takes away what a test did with a volume; also when it failed half-way. */
  async release(name: string): Promise<void> {
    for (const pods of mountsBelow(this.place('pods')).filter((each) => each.includes(`/${name}-`)))
      await attempt('umount', [pods]);
    await this.unstage(name);
    await rm(this.staging(name), { recursive: true, force: true });
  }
}

/** Whether the volume itself is. The disk that a test runs on may be nearly full, and that is told, too. */
export const isWell = ({ volumeCondition }: NodeGetVolumeStatsResponse__Output): boolean =>
  !volumeCondition!.abnormal || volumeCondition!.message.startsWith('The pool of node');

/** The call fails with this status and a message, which is the answer. */
export async function fails(code: keyof typeof status, call: Promise<unknown>): Promise<string> {
  let message = '';
  await assert.rejects(call, (error: ServiceError) => {
    message = error.details ?? error.message;
    assert.equal(status[error.code] ?? error.stack, code, message);
    return message.length > 15;
  });
  return message;
}
