/**
 * An image of one layer made from files of this machine, as a tar that `ctr images import`, `docker load` and
 * `kind load image-archive` read. The same files make the same image.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../../support/commands.ts';

export type Image = {
  names: readonly string[];
  entrypoint: readonly string[];
  /** What is to be where: the path in the image, and that on this machine. */
  files: Readonly<Record<string, string>>;
  /** Symbolic links: the path in the image, and what it points to. */
  links?: Readonly<Record<string, string>>;
};

const EMPTY_DIRECTORIES = { tmp: 0o1777, etc: 0o755, dev: 0o755, proc: 0o755, sys: 0o755, data: 0o777 };
const REPRODUCIBLE = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];

/** `scratch`: a directory that is not there yet; it is not there afterwards either. */
export async function writeImage(image: Image, target: string, scratch: string): Promise<void> {
  const root = path.join(scratch, 'root');
  await layOut(image, root);
  await run('tar', ['-C', root, ...REPRODUCIBLE, '-cf', path.join(scratch, 'layer.tar'), '.']);
  await fs.rm(root, { recursive: true });
  const diffId = `sha256:${await sha256(path.join(scratch, 'layer.tar'))}`;
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: image.entrypoint, Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] },
    rootfs: { type: 'layers', diff_ids: [diffId] },
  });
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
  await fs.writeFile(path.join(scratch, configName), config);
  const manifest = [{ Config: configName, RepoTags: image.names, Layers: ['layer.tar'] }];
  await fs.writeFile(path.join(scratch, 'manifest.json'), JSON.stringify(manifest));
  await run('tar', ['-C', scratch, ...REPRODUCIBLE, '-cf', target, 'manifest.json', configName, 'layer.tar']);
  await fs.rm(scratch, { recursive: true });
}

async function layOut(image: Image, root: string): Promise<void> {
  for (const [name, mode] of Object.entries(EMPTY_DIRECTORIES)) {
    await fs.mkdir(path.join(root, name), { recursive: true });
    await fs.chmod(path.join(root, name), mode);
  }
  const place = async (name: string) => {
    const file = path.join(root, name);
    await fs.mkdir(path.dirname(file), { recursive: true });
    return file;
  };
  for (const [name, source] of Object.entries(image.files)) await fs.copyFile(source, await place(name));
  for (const [name, points] of Object.entries(image.links ?? {})) await fs.symlink(points, await place(name));
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
