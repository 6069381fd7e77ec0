/**
 * The arguments of node calls, looked at before anything is looked up.
 *
 * Paths come from the container orchestrator and are used as they are, after this: absolute, in their plain form, and not
 * a symbolic link at their end, which could lead a mount elsewhere. Above it links are resolved, because the mount table
 * has resolved paths: a kubelet directory may well be a link.
 */
import { lstat, realpath } from 'node:fs/promises';
import path from 'node:path';
import { FlashCopyError } from '../../base/errors.ts';
import { boundDevice, mountAt } from '../../sys/mount.ts';
import { type FilesystemType, objectionTo, READERS } from '../capabilities.ts';
import type { VolumeCapability__Output } from '../generated/csi/v1/VolumeCapability.ts';
import { shown } from '../ids.ts';
import { checkMountOptions } from './mount-options.ts';

/** How a volume is to be used. */
export type Use = {
  access: 'mount' | 'block';
  /** Undefined: whatever the volume has, ext4 if it is empty. */
  filesystem: FilesystemType | undefined;
  options: readonly string[];
  readOnly: boolean;
  /** At no more than one target path. */
  singleWriter: boolean;
};

export function useOf(capability: VolumeCapability__Output | null): Use {
  if (!capability) throw invalid('The volume capability is missing. Say how the volume is to be used.');
  const objection = objectionTo(capability);
  if (objection !== undefined) throw invalid(objection);
  const { mount } = capability;
  if (mount && mount.volumeMountGroup !== '')
    throw invalid('A mount group was asked for; ext4 and XFS keep owners in their inodes. Use fsGroup.');
  const options = mount?.mountFlags ?? [];
  checkMountOptions(options);
  const mode = capability.accessMode?.mode;
  return {
    access: mount ? 'mount' : 'block',
    filesystem: (mount?.fsType || undefined) as FilesystemType | undefined,
    options: options.filter((option) => option !== 'ro' && option !== 'rw'),
    readOnly: (mode !== undefined && READERS.has(mode)) || options.includes('ro'),
    singleWriter: mode === 'SINGLE_NODE_SINGLE_WRITER',
  };
}

/** The text of a path argument. */
export function checkPath(what: string, text: string): void {
  if (text === '') throw invalid(`The ${what} is missing.`);
  const plain = text.startsWith('/') && !text.includes('\0') && path.normalize(text) === text;
  if (!plain || text === '/')
    throw invalid(`The ${what} ${shown(text)} is not an absolute path in its plain form.`);
}

/** What is at a path itself. */
export type Kind = 'directory' | 'file' | 'nothing';

/** The path as the mount table has it, and what is there. */
export async function resolvePath(what: string, text: string): Promise<{ path: string; kind: Kind }> {
  const above = await existing(realpath(path.dirname(text)));
  if (above === undefined) return { path: text, kind: 'nothing' };
  const resolved = path.join(above, path.basename(text));
  // What is mounted is not looked at: a filesystem whose device is gone answers nothing but errors.
  const mount = mountAt(resolved);
  if (mount !== undefined) return { path: resolved, kind: boundDevice(mount) ? 'file' : 'directory' };
  const stats = await existing(lstat(resolved));
  if (stats?.isSymbolicLink())
    throw invalid(
      `The ${what} ${shown(text)} is a symbolic link, and nothing is mounted through one. Remove it.`,
    );
  return {
    path: resolved,
    kind: stats === undefined ? 'nothing' : stats.isDirectory() ? 'directory' : 'file',
  };
}

/** Where a volume is said to be. A path that cannot be one names nothing. */
export async function volumePlace(text: string): ReturnType<typeof resolvePath> {
  if (!path.isAbsolute(text) || text.includes('\0')) return { path: text, kind: 'nothing' };
  return resolvePath('volume path', path.normalize(text).replace(/(?<=.)\/$/, ''));
}

/** Undefined: there is nothing. */
export async function existing<Value>(value: Promise<Value>): Promise<Value | undefined> {
  try {
    return await value;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function invalid(message: string): FlashCopyError {
  return new FlashCopyError('InvalidArgument', message);
}
