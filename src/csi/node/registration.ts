/**
 * Registers the driver with this node's kubelet, without a registrar beside it.
 *
 * Kubelet watches a directory for sockets. It asks the one that appears there, and every one that it finds when it starts,
 * who it is, connects to the driver's own socket and tells what came of it. So the socket stays there as long as this
 * process runs; when it goes away, kubelet forgets the driver. Kubelet repeats a registration that failed by itself.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadPackageDefinition, Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type Listening, listenOnUnix } from '../../api/unix-listener.ts';
import { FlashCopyError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { DRIVER_NAME } from '../identity.ts';
import type { RegistrationHandlers } from './generated/pluginregistration/Registration.ts';
import type { ProtoGrpcType } from './generated/registration.ts';

export const REGISTRATION_PROTO = fileURLToPath(
  new URL('../../../proto/pluginregistration/v1/registration.proto', import.meta.url),
);
/** Of the interface between kubelet and CSI drivers, which has had no other. */
const INTERFACE_VERSION = '1.0.0';

export type RegistrationPlace = {
  /** Kubelet's plugins_registry. */
  directory: string;
  /** The socket with the driver's services, as kubelet sees it. */
  csiPath: string;
};

export class Registration implements Listening {
  readonly socketPath: string;
  private readonly csiPath: string;
  private listening: Listening | undefined;
  private outcome: { registered: boolean; error: string } | undefined;

  static async serve({ directory, csiPath }: RegistrationPlace): Promise<Registration> {
    checkDirectory(directory);
    const registration = new Registration(path.join(directory, `${DRIVER_NAME}-reg.sock`), csiPath);
    const server = new Server();
    server.addService(registrationService(), registration.handlers());
    registration.listening = await listenOnUnix(server, `unix://${registration.socketPath}`);
    return registration;
  }

  private constructor(socketPath: string, csiPath: string) {
    this.socketPath = socketPath;
    this.csiPath = csiPath;
  }

  /** Fails when kubelet refused the driver, or cannot find it any more. */
  checkNotFailed(): void {
    if (!existsSync(this.socketPath))
      throw unregistered(`the socket ${this.socketPath} was removed. Start the node service again`);
    if (this.outcome?.registered === false)
      throw unregistered(`${this.outcome.error || 'kubelet gave no reason'}. See kubelet's log`);
  }

  checkRegistered(): void {
    this.checkNotFailed();
    if (this.outcome === undefined)
      throw unregistered(
        `kubelet has not asked at ${this.socketPath} yet. It does within seconds if it runs`,
      );
  }

  async stop(): Promise<void> {
    await this.listening?.stop();
  }

  private handlers(): RegistrationHandlers {
    return {
      GetInfo: (_call, callback) => {
        log.debug('kubelet asks for the driver', { socket: this.socketPath });
        callback(null, {
          type: 'CSIPlugin',
          name: DRIVER_NAME,
          endpoint: this.csiPath,
          supportedVersions: [INTERFACE_VERSION],
        });
      },
      NotifyRegistrationStatus: ({ request: { pluginRegistered, error } }, callback) => {
        this.outcome = { registered: pluginRegistered, error };
        if (pluginRegistered) log.info('registered with kubelet', { endpoint: this.csiPath });
        else log.error('kubelet did not register the driver', { endpoint: this.csiPath, error });
        callback(null, {});
      },
    };
  }
}

/** Made by kubelet: another one that we made would never be looked at. */
function checkDirectory(directory: string): void {
  if (existsSync(directory)) return;
  throw new FlashCopyError(
    'InvalidArgument',
    `The registration directory ${directory} is not there. Name kubelet's plugins_registry, and mount it into the container.`,
  );
}

function registrationService(): ProtoGrpcType['pluginregistration']['Registration']['service'] {
  const definition = loadSync(REGISTRATION_PROTO, { defaults: true });
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).pluginregistration.Registration
    .service;
}

const unregistered = (why: string): FlashCopyError =>
  new FlashCopyError('Unavailable', `The driver is not registered with kubelet: ${why}.`);
