/**
 * The CSI services as they are written here: a call is an async function of its request, a streamed answer an async
 * iterable, a failure a FlashCopyError. The server (server.ts) adds what all calls have in common.
 *
 * The definitions are loaded from the same file, with the same options, that the types in generated/ were made of
 * (tools/generate.ts).
 */
import { fileURLToPath } from 'node:url';
import { type handleServerStreamingCall, type handleUnaryCall, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ControllerHandlers } from './generated/csi/v1/Controller.ts';
import type { GroupControllerHandlers } from './generated/csi/v1/GroupController.ts';
import type { IdentityHandlers } from './generated/csi/v1/Identity.ts';
import type { NodeHandlers } from './generated/csi/v1/Node.ts';
import type { SnapshotMetadataHandlers } from './generated/csi/v1/SnapshotMetadata.ts';
import type { ProtoGrpcType } from './generated/csi.ts';

/** The calls by name, without the index signature that handlers have besides. */
type CallsOf<Handlers> = { [Call in keyof Handlers as string extends Call ? never : Call]: Handlers[Call] };

type ServiceOf<Handlers> = {
  [Call in keyof CallsOf<Handlers>]: CallsOf<Handlers>[Call] extends handleServerStreamingCall<
    infer Request,
    infer Answer
  >
    ? (request: Request, gone: AbortSignal) => AsyncIterable<Answer>
    : CallsOf<Handlers>[Call] extends handleUnaryCall<infer Request, infer Answer>
      ? (request: Request) => Promise<Answer>
      : never;
};

export type IdentityService = ServiceOf<IdentityHandlers>;
/** Volumes are attached by the node service: the calls that publish a volume to a node are not implemented. */
export type ControllerService = Omit<
  ServiceOf<ControllerHandlers>,
  'ControllerPublishVolume' | 'ControllerUnpublishVolume'
>;
export type GroupControllerService = ServiceOf<GroupControllerHandlers>;
export type SnapshotMetadataService = ServiceOf<SnapshotMetadataHandlers>;
export type NodeService = ServiceOf<NodeHandlers>;

/** Any of them: one process serves what its role has. */
export type CsiServices = {
  Identity?: IdentityService;
  Controller?: ControllerService;
  GroupController?: GroupControllerService;
  SnapshotMetadata?: SnapshotMetadataService;
  Node?: NodeService;
};

export const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));
export const CSI_PROTO = 'csi/v1/csi.proto';

export function csiDefinitions(): ProtoGrpcType['csi']['v1'] {
  const definition = loadSync(CSI_PROTO, {
    includeDirs: [PROTO_DIR],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).csi.v1;
}
