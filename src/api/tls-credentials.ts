/**
 * gRPC over mutual TLS: both ends show a certificate of the CA that both trust, TLS 1.3 and nothing older.
 *
 * The server's certificates can be replaced while it serves. From then on nobody gets in with one of a CA that is no
 * longer trusted, not even by resuming a session: each set of certificates has session keys of its own.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import {
  type ChannelCredentials,
  credentials,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { FlashCopyError } from '../base/errors.ts';
import { statusOf } from './status.ts';
import { bearsName, CONTROLLER_NAME, type TlsMaterial } from './tls-directory.ts';

const TLS_VERSION = 'TLSv1.3';
const SESSION_KEY_BYTES = 48;

export function clientCredentials(material: TlsMaterial): ChannelCredentials {
  return credentials.createFromSecureContext(createSecureContext({ ...material, minVersion: TLS_VERSION }));
}

export class TlsServerCredentials extends ServerCredentials {
  constructor(material: TlsMaterial) {
    const context = serverContextOf(material);
    super({ requestCert: true, rejectUnauthorized: true, minVersion: TLS_VERSION }, context);
  }

  /** For connections from here on. */
  replace(material: TlsMaterial): void {
    this.updateSecureContextOptions(serverContextOf(material));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function serverContextOf(material: TlsMaterial): SecureContextOptions {
  return { ...material, minVersion: TLS_VERSION, ticketKeys: randomBytes(SESSION_KEY_BYTES) };
}

/** Refuses every call of a peer whose certificate is not the controller's. */
export const onlyController: ServerInterceptor = (_method, call) =>
  new ServerInterceptingCall(call, {
    start: (next) => {
      const raw = call.getAuthContext().sslPeerCertificate?.raw;
      const certificate = raw && new X509Certificate(raw);
      if (certificate && bearsName(certificate, CONTROLLER_NAME)) next();
      else call.sendStatus(statusOf(notTheController(certificate)));
    },
  });

function notTheController(certificate: X509Certificate | undefined): FlashCopyError {
  return new FlashCopyError(
    'MissingPrivilege',
    `An engine obeys only ${CONTROLLER_NAME}, and the certificate of the caller is for ` +
      `${certificate?.subjectAltName ?? 'no name at all'}. Use a certificate with the DNS name ${CONTROLLER_NAME}.`,
  );
}
