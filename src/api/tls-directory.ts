/**
 * The certificates with which a controller and an engine know each other, from a directory laid out as a Kubernetes
 * Secret is: `ca.crt` (whom to trust; may hold several), `tls.crt` (own certificate and its chain), `tls.key`.
 *
 * What `material` holds has been checked as a whole: the files belong together, and a peer that trusts the same CA will
 * accept them. When the files change they are read again; while they do not fit together, as in the midst of being
 * replaced, the former ones stay in use and the log says what is wrong with the new ones.
 *
 * Identities are DNS names in certificates. An engine's tells its node, so that no engine can pass for another's; the
 * controller's is one for all. A certificate for the one is none for the other.
 */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../base/errors.ts';
import { log } from '../base/log.ts';

export const CONTROLLER_NAME = 'controller.flashcopy.dev';
const ENGINE_DOMAIN = 'engine.flashcopy.dev';
const NODE_ID = /^[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?$/;
/** One label of a DNS name, of 63 characters at most: what the pattern *.engine.flashcopy.dev stands for. */
const LABEL = /^[a-z0-9-]{1,63}$/;
const HASHED = /-[0-9a-f]{32}$/;
const HASH_DIGITS = 32;
const READABLE_MAX = 63 - HASH_DIGITS - 1;

const LOOK_MS = 1000;
const FILES = ['ca.crt', 'tls.crt', 'tls.key'] as const;

export type TlsMaterial = { ca: Buffer; cert: Buffer; key: Buffer };

/**
 * The name that the certificate of a node's engine bears: n1.engine.flashcopy.dev. A node's id is one label of it, so
 * that *.engine.flashcopy.dev is good for every node:
 *
 *   n1                         n1
 *   ip-10-0-0-7.ec2.internal   ip-10-0-0-7-ec2-internal-db89...   dots are none of a label's characters, so a hash of the
 *                                                                 whole id tells it from ip-10-0-0-7-ec2.internal
 *
 * Ids that look as if they bore a hash get one, so that no node can be given a name that another has already.
 */
export function engineNameOf(node: string): string {
  if (NODE_ID.test(node)) return `${labelOf(node)}.${ENGINE_DOMAIN}`;
  throw invalid(
    `"${node}" cannot be a node's id. Use 1 to 100 small letters, digits, '.' and '-', with a letter or digit at both ends.`,
  );
}

function labelOf(node: string): string {
  if (LABEL.test(node) && !HASHED.test(node)) return node;
  const hash = createHash('sha256').update(node).digest('hex').slice(0, HASH_DIGITS);
  return `${node.replaceAll('.', '-').slice(0, READABLE_MAX)}-${hash}`;
}

/** Whether a certificate bears a name; a pattern like *.engine.flashcopy.dev counts for an engine's. */
export function bearsName(certificate: X509Certificate, name: string): boolean {
  const wildcards = name !== CONTROLLER_NAME;
  return certificate.checkHost(name, { subject: 'never', wildcards, partialWildcards: false }) !== undefined;
}

export class TlsDirectory {
  readonly dir: string;
  /** Grows whenever `material` becomes another. */
  version = 1;
  material: TlsMaterial;
  private readonly ownName: string;
  private readonly lookMs: number;
  private seen: string;
  private lookedAt = Date.now();
  private refused = '';

  /**
   * Fails unless the directory holds what is to be had: a certificate for `ownName`, its key, and its CA. The files are
   * looked at no more often than every `lookMs`.
   */
  constructor(dir: string, ownName: string, lookMs = LOOK_MS) {
    this.dir = dir;
    this.ownName = ownName;
    this.lookMs = lookMs;
    this.seen = this.look();
    this.material = readTlsDirectory(dir, ownName);
  }

  /** Reads the files again if they have changed. Cheap: meant to be called before each use. */
  refresh(): void {
    if (Date.now() - this.lookedAt < this.lookMs) return;
    this.lookedAt = Date.now();
    const seen = this.look();
    if (seen === this.seen) return;
    try {
      const material = readTlsDirectory(this.dir, this.ownName);
      this.seen = seen;
      if (FILES.every((_, i) => parts(material)[i]!.equals(parts(this.material)[i]!))) return;
      this.material = material;
      this.version += 1;
      this.refused = '';
      log.info('certificates are replaced', { dir: this.dir });
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      // Looked at again each time, but told once: a file may be written slowly.
      if (this.refused !== error.message)
        log.error('new certificates are not used', { error: error.message });
      this.refused = error.message;
    }
  }

  /** What shows that a file is another: a Secret's files are links into a directory that is swapped as a whole. */
  private look(): string {
    return FILES.map((file) => {
      const stat = statSync(path.join(this.dir, file), { throwIfNoEntry: false });
      return stat === undefined
        ? '-'
        : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
    }).join(' ');
  }
}

const invalid = (message: string, cause?: unknown) =>
  new FlashCopyError('InvalidArgument', message, { cause });
const parts = ({ ca, cert, key }: TlsMaterial) => [ca, cert, key];

function readTlsDirectory(dir: string, ownName: string): TlsMaterial {
  const [ca, cert, key] = FILES.map((file) => readPart(path.join(dir, file))) as [Buffer, Buffer, Buffer];
  const authorities = certificatesOf(path.join(dir, 'ca.crt'), ca);
  const chain = certificatesOf(path.join(dir, 'tls.crt'), cert);
  const own = chain[0]!;
  const privateKey = privateKeyOf(path.join(dir, 'tls.key'), key);
  if (!own.checkPrivateKey(privateKey))
    throw invalid(
      `${dir}/tls.key is not the key of ${dir}/tls.crt. Put the two that were made together there.`,
    );
  checkTimes(`${dir}/tls.crt`, own);
  for (const [i, certificate] of chain.entries()) {
    const issuers = [...chain.slice(i + 1), ...authorities];
    if (issuers.some((issuer) => isIssuedBy(certificate, issuer))) continue;
    throw invalid(
      `${dir}/tls.crt was issued by "${oneLine(certificate.issuer)}", which is not in ${dir}/ca.crt ` +
        `(${authorities.map((authority) => `"${oneLine(authority.subject)}"`).join(', ')}). Put the CA that issued it there.`,
    );
  }
  if (!bearsName(own, ownName))
    throw invalid(
      `${dir}/tls.crt is for ${own.subjectAltName ?? 'no name at all'}, not for DNS:${ownName}. Issue one with that name.`,
    );
  return { ca, cert, key };
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function readPart(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw invalid(
      `The certificate file ${file} cannot be read (${code}). The directory has to hold ${FILES.join(', ')}.`,
      error,
    );
  }
}

function certificatesOf(file: string, text: Buffer): X509Certificate[] {
  const blocks = text.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw invalid(`${file} holds no certificate in PEM form.`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw invalid(`${file} holds a certificate that cannot be read: ${(error as Error).message}.`, error);
    }
  });
}

function privateKeyOf(file: string, text: Buffer): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw invalid(`${file} is not a private key in PEM form: ${(error as Error).message}.`, error);
  }
}

function checkTimes(file: string, { validFromDate, validToDate }: X509Certificate): void {
  const now = Date.now();
  if (validToDate.getTime() < now)
    throw invalid(`${file} has expired on ${validToDate.toISOString()}. Issue a new one.`);
  if (validFromDate.getTime() > now)
    throw invalid(
      `${file} is valid from ${validFromDate.toISOString()} on, and it is ${new Date(now).toISOString()}. See to the clocks.`,
    );
}

const oneLine = (name: string) => name.replaceAll('\n', ', ');
