/**
 * Serves an EngineApi over gRPC: on a unix socket for its machine, and over mutual TLS for the controller.
 *
 * The two are servers of their own, so that what is meant for the owner of a socket can never be had over a network.
 */
import { Server } from '@grpc/grpc-js';
import { FlashCopyError } from '../base/errors.ts';
import type { RemoteAccess } from '../engine/child-messages.ts';
import { checkedAddress, socketPathOf } from './endpoint.ts';
import type { EngineApi } from './engine-api.ts';
import { forward } from './forward.ts';
import { handlersOf } from './handlers.ts';
import { engineService } from './service.ts';
import { onlyController, TlsServerCredentials } from './tls-credentials.ts';
import { engineNameOf, TlsDirectory } from './tls-directory.ts';
import { type Listening, listenOnUnix, shutDown } from './unix-listener.ts';

/** How often the server looks whether its certificates were replaced. */
const LOOK_MS = 2000;
/** How long calls may go on over a connection that was made with former certificates. */
const DRAIN_MS = 30_000;
/** No connection lasts longer, so that none outlives the certificate that it was made with by much. */
const CONNECTION_MS = 3_600_000;

/** `csiEndpoint`: where another process serves CSI, which is then served here, too. */
export async function serveEngine(
  api: EngineApi,
  endpoint: string,
  csiEndpoint?: string,
): Promise<Listening> {
  const server = new Server();
  server.addService(engineService().service, handlersOf(api));
  if (csiEndpoint === undefined) return listenOnUnix(server, endpoint);
  const close = forward(server, 'csi/v1/csi.proto', socketPathOf(csiEndpoint));
  const listening = await listenOnUnix(server, endpoint);
  const stop = async () => {
    await listening.stop();
    close();
  };
  return { stop };
}

/** `lookMs`: how often its certificates are looked at. */
export async function serveEngineTls(
  api: EngineApi,
  { address, tlsDir, nodeId }: RemoteAccess,
  lookMs = LOOK_MS,
): Promise<Listening & { port: number }> {
  const directory = new TlsDirectory(tlsDir, engineNameOf(nodeId), lookMs);
  const tls = new TlsServerCredentials(directory.material);
  const server = new Server({
    interceptors: [onlyController],
    'grpc.max_connection_age_ms': CONNECTION_MS,
  });
  server.addService(engineService().service, handlersOf(api));
  const port = await bind(server, checkedAddress(address), tls);
  let { version } = directory;
  const timer = setInterval(() => {
    directory.refresh();
    if (directory.version === version) return;
    version = directory.version;
    tls.replace(directory.material);
    // Who is connected comes again, with what is valid now.
    server.drain(address.replace(/\d+$/, String(port)), DRAIN_MS);
  }, lookMs);
  timer.unref();
  const stop = async () => {
    clearInterval(timer);
    await shutDown(server);
  };
  return { port, stop };
}

function bind(server: Server, address: string, tls: TlsServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, tls, (error, port) => {
      if (!error) return resolve(port);
      const message = `The engine cannot listen on ${address}: ${error.message}. Choose another address or end who has it.`;
      reject(new FlashCopyError('Unavailable', message, { cause: error }));
    });
  });
}
