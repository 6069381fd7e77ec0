/**
 * The arguments of node calls, looked at before anything is looked up.
 *
 * Paths come from the container orchestrator and are used as they are, after this: absolute, in their plain form, and not
 * a symbolic link at their end, which could lead a mount elsewhere. Above it links are resolved, because the mount table
 * has resolved paths: a kubelet directory may well be a link.
 */
import { statSync } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import path from 'node:path';
import { type ErrorCode, FlashCopyError } from '../../base/errors.ts';
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
export function resolvePath(what: string, text: string): Promise<{ path: string; kind: Kind }> {
  return onPath(what, text, () => resolved(what, text));
}

async function resolved(what: string, text: string): Promise<{ path: string; kind: Kind }> {
  const above = await existing(realpath(path.dirname(text)));
  if (above === undefined) return { path: text, kind: 'nothing' };
  const place = path.join(above, path.basename(text));
  // What is mounted is not looked at: a filesystem whose device is gone answers nothing but errors.
  const mount = mountAt(place);
  if (mount !== undefined) return { path: place, kind: boundDevice(mount) ? 'file' : 'directory' };
  const stats = await existing(lstat(place));
  if (stats?.isSymbolicLink())
    throw invalid(
      `The ${what} ${shown(text)} is a symbolic link, and nothing is mounted through one. Remove it.`,
    );
  return {
    path: place,
    kind: stats === undefined ? 'nothing' : stats.isDirectory() ? 'directory' : 'file',
  };
}

/**
 * Whether the two are names of one place: a machine's directory that a container has twice, say. What is mounted there is
 * not looked at, only the directories that they are in.
 */
export function isSamePlace(one: string, other: string): boolean {
  if (one === other) return true;
  if (path.basename(one) !== path.basename(other)) return false;
  const [a, b] = [one, other].map((each) => statSync(path.dirname(each), { throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** Where a volume is said to be. A path that cannot be one names nothing. */
export async function volumePlace(text: string): ReturnType<typeof resolvePath> {
  if (!path.isAbsolute(text) || text.includes('\0')) return { path: text, kind: 'nothing' };
  return resolvePath('volume path', path.normalize(text).replace(/(?<=.)\/$/, ''));
}

const UNUSABLE: Readonly<Record<string, [ErrorCode, string]>> = {
  ENAMETOOLONG: ['InvalidArgument', 'it is too long for the system'],
  ELOOP: ['InvalidArgument', 'its symbolic links lead in a circle'],
  ENOTDIR: ['WrongState', 'something on the way to it is no directory'],
  EEXIST: ['WrongState', 'something on the way to it is no directory'],
  ENOSPC: ['OutOfSpace', 'its filesystem is full'],
  EROFS: ['WrongState', 'its filesystem is read-only'],
  EBUSY: ['VolumeInUse', 'it is in use'],
};

/** That a path cannot be used is the caller's fault or the machine's, and is told as that. */
export async function onPath<Value>(
  what: string,
  text: string,
  action: () => Promise<Value>,
): Promise<Value> {
  try {
    return await action();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof FlashCopyError || code === undefined || syscall === undefined) throw error;
    const [told, why] = UNUSABLE[code] ?? ['IoError', `the system refuses it`];
    throw new FlashCopyError(
      told,
      `The ${what} ${shown(text)} cannot be used: ${why} (${syscall}: ${code}). Look at what is there, or give another.`,
      { cause: error },
    );
  }
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
