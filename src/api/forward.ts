/**
 * Passes the calls of a proto file's services on to another process on this machine: so everything of a standalone
 * engine answers at one socket, and the process that serves CSI can die without host I/O noticing.
 *
 * Messages go through as they are, with metadata, deadline, cancellation and status. A process that is being started is
 * waited for.
 */
import { fileURLToPath } from 'node:url';
import {
  Client,
  credentials,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type Server,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** A call without a deadline of its own waits no longer. */
const DEADLINE_MS = 600_000;
const RECONNECT = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000 };

const asIs = (message: Buffer): Buffer => message;

/** `protoFile` below proto/. Returns how to end the connection. */
export function forward(server: Server, protoFile: string, socketPath: string): () => void {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), RECONNECT);
  const includeDirs = [fileURLToPath(new URL('../../proto', import.meta.url))];
  for (const service of Object.values(loadSync(protoFile, { includeDirs }))) {
    if (!('format' in service)) addForwarding(server, service as ServiceDefinition, client);
  }
  return () => client.close();
}

function addForwarding(server: Server, service: ServiceDefinition, client: Client): void {
  const raw: Record<string, ServiceDefinition[string]> = {};
  const handlers: UntypedServiceImplementation = {};
  for (const [name, { path, requestStream, responseStream }] of Object.entries(service)) {
    raw[name] = {
      path,
      requestStream,
      responseStream,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    handlers[name] = responseStream ? streamed(client, path) : unary(client, path);
  }
  server.addService(raw as ServiceDefinition, handlers);
}

function unary(client: Client, path: string): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    const inner = client.makeUnaryRequest(path, asIs, asIs, call.request, ...passedOn(call), callback);
    call.on('cancelled', () => inner.cancel());
  };
}

function streamed(client: Client, path: string): handleServerStreamingCall<Buffer, Buffer> {
  return (call) => {
    const inner = client.makeServerStreamRequest(path, asIs, asIs, call.request, ...passedOn(call));
    call.on('cancelled', () => inner.cancel());
    inner.on('data', (answer: Buffer) => {
      if (call.write(answer)) return;
      inner.pause();
      call.once('drain', () => inner.resume());
    });
    inner.on('end', () => call.end());
    inner.on('error', (error) => call.emit('error', error));
  };
}

function passedOn(call: { metadata: Metadata; getDeadline(): Date | number }): [Metadata, object] {
  const metadata = call.metadata.clone();
  metadata.setOptions({ waitForReady: true });
  const deadline = Math.min(Number(call.getDeadline()), Date.now() + DEADLINE_MS);
  return [metadata, { deadline }];
}
