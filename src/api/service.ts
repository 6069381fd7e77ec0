/**
 * The gRPC service's definition, loaded from the same file, with the same options, that the types in generated/ were
 * made of (tools/generate.ts).
 */
import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from './generated/engine.ts';

/** The header with the id of the request on whose behalf a call is made (base/request.ts). */
export const REQUEST_KEY = 'flashcopy-request';

export function engineService(): ProtoGrpcType['flashcopy']['engine']['v1']['Engine'] {
  const protoDir = fileURLToPath(new URL('../../proto', import.meta.url));
  const definition = loadSync('flashcopy/engine/v1/engine.proto', {
    includeDirs: [protoDir],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).flashcopy.engine.v1.Engine;
}
