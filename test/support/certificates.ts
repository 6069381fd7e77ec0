/**
 * Certificate authorities and certificates for tests, made by the openssl command: what other tools make is what has to
 * be understood. Everything is laid out as in a Kubernetes Secret.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

export const CONTROLLER = 'controller.flashcopy.dev';
export const engineName = (node: string): string => `${node}.engine.flashcopy.dev`;

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export class TestCa {
  readonly dir: string;

  constructor(dir: string, name = 'flashcopy-test-ca') {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    const out = ['-keyout', `${dir}/ca.key`, '-out', `${dir}/ca.crt`];
    openssl('req', '-x509', ...KEY, ...out, '-subj', `/CN=${name}`, '-days', '2');
  }

  /** A directory with a certificate for these DNS names; negative days: it expired so many days ago. */
  issue(dir: string, names: string[], days = 1): string {
    mkdirSync(dir, { recursive: true });
    const request = path.join(dir, 'request.csr');
    const extensions =
      names.length === 0 ? [] : ['-addext', `subjectAltName=${names.map((name) => `DNS:${name}`)}`];
    openssl(
      'req',
      '-new',
      ...KEY,
      '-keyout',
      `${dir}/tls.key`,
      '-out',
      request,
      '-subj',
      '/CN=test',
      ...extensions,
    );
    const by = ['-CA', `${this.dir}/ca.crt`, '-CAkey', `${this.dir}/ca.key`, '-copy_extensions', 'copy'];
    openssl('x509', '-req', '-in', request, ...by, '-days', String(days), '-out', `${dir}/tls.crt`);
    rmSync(request);
    copyFileSync(`${this.dir}/ca.crt`, `${dir}/ca.crt`);
    return dir;
  }
}

/** A volume of a Secret as kubelet makes it: the files are links into a directory that is swapped as a whole. */
export class SecretVolume {
  readonly dir: string;
  #generation = 0;

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    for (const file of ['ca.crt', 'tls.crt', 'tls.key']) symlinkSync(`..data/${file}`, path.join(dir, file));
  }

  /** From here on it holds what this writes into the directory that it is given. */
  swap(write: (directory: string) => void): void {
    this.#generation += 1;
    const next = `..${this.#generation}`;
    write(path.join(this.dir, next));
    symlinkSync(next, path.join(this.dir, '..data_tmp'));
    renameSync(path.join(this.dir, '..data_tmp'), path.join(this.dir, '..data'));
  }
}
