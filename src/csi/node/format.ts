/**
 * Giving an empty volume its filesystem.
 *
 * A device is formatted only if it holds nothing: no signature that blkid knows, and no byte other than zero anywhere.
 * That is asked of the device itself at both ends, where signatures are, and everywhere else of what the engine has as
 * written. mkfs, without force, refuses besides what it recognises.
 *
 * Making a filesystem can be cut off, and what it leaves looks like somebody's data. So a note is put into the staging
 * directory before it begins and removed when it is complete, before anybody can mount it: a device with a note, and
 * without a complete filesystem, holds only what a former attempt left there. It is emptied and made again.
 *
 *   note | complete filesystem | then
 *   no   | yes                 | use it
 *   no   | no                  | format it if it holds nothing, else refuse
 *   yes  | yes                 | remove the note, use it
 *   yes  | no                  | empty the device, format it
 */
import { open, readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { EngineApi } from '../../api/engine-api.ts';
import { FlashCopyError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { ByteRange, VolumeInfo } from '../../base/model.ts';
import { run } from '../../sys/run.ts';
import { FILESYSTEM_DEFAULT, type FilesystemType } from '../capabilities.ts';
import { LABELS } from '../labels.ts';
import type { Found } from '../places.ts';
import { type Device, filesystemMounts, nodeMounts } from './device.ts';
import { failed, isUnfinishedXfs, signatureOn } from './filesystem.ts';
import { checkOptionsFor } from './mount-options.ts';
import { existing, onPath, type Use } from './requests.ts';

const NOTE = '.flashcopy-unfinished-format';
const LONG_MS = 600_000;
const END_BYTES = 1024 * 1024;
const RANGES_MAX = 1000;

/** The type of the volume's filesystem, which is made if the volume is empty. Nobody has it mounted. */
export async function ensureFilesystem(
  volume: Found,
  device: Device,
  use: Use,
  directory: string,
): Promise<FilesystemType> {
  let signature = await signatureOn(device);
  if (await isNoted(directory, volume.id)) {
    if (await isUnfinished(device, signature)) {
      log.warn('former attempt to format was cut off: begun anew', {
        volume: volume.id,
        device: device.path,
      });
      await empty(device);
      signature = undefined;
    } else await removeNote(directory);
  }
  if (signature !== undefined) return acceptable(signature, device, use);
  const type = use.filesystem ?? filesystemLabel(volume.info) ?? FILESYSTEM_DEFAULT;
  checkOptionsFor(type, use.options);
  await checkEmpty(volume, device);
  await writeNote(directory, volume.id);
  await makeFilesystem(type, device);
  await removeNote(directory);
  return type;
}

/** What the volume was made for, where staging it does not say. */
function filesystemLabel({ labels }: VolumeInfo): FilesystemType | undefined {
  const noted = labels[LABELS.filesystem];
  return noted === 'ext4' || noted === 'xfs' ? noted : undefined;
}

/**
 * After this the volume is as if it had never been staged here, if it was not staged completely. One that is used as a raw
 * device meanwhile holds what its user has written.
 */
export async function abandonFormat(
  volume: Found | undefined,
  device: Device | undefined,
  directory: string,
): Promise<void> {
  if (volume === undefined || !(await isNoted(directory, volume.id))) return removeNote(directory);
  if (device === undefined || filesystemMounts(device).length > 0) return;
  const isUsed = nodeMounts(device).length > 0;
  if (!isUsed && (await isUnfinished(device, await signatureOn(device)))) await empty(device);
  await removeNote(directory);
}

function acceptable(signature: string, device: Device, use: Use): FilesystemType {
  if (signature !== 'ext4' && signature !== 'xfs') throw holdsSomething(device, signature);
  if (use.filesystem === undefined || use.filesystem === signature) {
    checkOptionsFor(signature, use.options);
    return signature;
  }
  throw new FlashCopyError(
    'WrongState',
    `The volume has the filesystem ${signature}, and ${use.filesystem} was asked for. Ask for ${signature}.`,
  );
}

const isUnfinished = async (device: Device, signature: string | undefined): Promise<boolean> =>
  signature === undefined || (signature === 'xfs' && (await isUnfinishedXfs(device)));

async function checkEmpty({ engine, info }: Found, device: Device): Promise<void> {
  const lastBytes = Math.min(END_BYTES, device.sizeBytes);
  await checkZeros(device, { offset: 0, length: lastBytes });
  await checkZeros(device, { offset: device.sizeBytes - lastBytes, length: lastBytes });
  for await (const range of writtenRanges(engine, `#${info.id}`)) await checkZeros(device, range);
  if (device.readOnly)
    throw new FlashCopyError('WrongState', `${device.path} is read-only and holds no filesystem to mount.`);
}

async function* writtenRanges(engine: EngineApi, name: string): AsyncGenerator<ByteRange> {
  for (let from: number | null = 0; from !== null; ) {
    const { ranges, next } = await engine.allocatedRanges(name, from, RANGES_MAX);
    yield* ranges;
    from = next;
  }
}

async function checkZeros(device: Device, { offset, length }: ByteRange): Promise<void> {
  const args = [`--bytes=${length}`, `--ignore-initial=${offset}:0`, device.path, '/dev/zero'];
  const { status, stderr } = await run('cmp', ['--silent', ...args], LONG_MS);
  if (status === 0) return;
  const DIFFERS = 1;
  if (status !== DIFFERS) throw failed('could not be read', device, stderr);
  throw holdsSomething(device, `data between byte ${offset} and ${offset + length}`);
}

function holdsSomething(device: Device, what: string): FlashCopyError {
  return new FlashCopyError(
    'WrongState',
    `The volume is to be mounted, and ${device.path} holds ${what}, which is neither ext4 nor XFS. It was not touched: ` +
      'only an empty volume is formatted. Use it as a block device, or empty it (blkdiscard) if nobody needs that.',
  );
}

/** The device reads as zeros, and the pool has its space back. */
async function empty(device: Device): Promise<void> {
  const { status, stderr } = await run('blkdiscard', [device.path], LONG_MS);
  if (status !== 0) throw failed('could not be emptied', device, stderr);
}

async function makeFilesystem(type: FilesystemType, device: Device): Promise<void> {
  // The device is known to read as zeros: nothing has to be discarded, and ext4's tables are good as they are.
  const [command, ...args] =
    type === 'xfs'
      ? ['mkfs.xfs', '-q', '-K']
      : ['mkfs.ext4', '-q', '-m', '0', '-E', 'nodiscard,assume_storage_prezeroed=1'];
  const { status, stdout, stderr } = await run(command!, [...args, device.path], LONG_MS);
  if (status !== 0) throw failed(`could not be formatted with ${type}`, device, `${stderr}${stdout}`);
}

export async function isNoted(directory: string, volumeId: string): Promise<boolean> {
  return (await existing(readFile(path.join(directory, NOTE), 'utf8'))) === volumeId;
}

async function writeNote(directory: string, volumeId: string): Promise<void> {
  await onPath('staging path', directory, async () => {
    await writeFile(path.join(directory, NOTE), volumeId, { flush: true });
    await syncDirectory(directory);
  });
}

async function removeNote(directory: string): Promise<void> {
  await onPath('staging path', directory, async () => {
    if ((await existing(unlink(path.join(directory, NOTE)).then(() => true))) === true)
      await syncDirectory(directory);
  });
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  await handle.sync();
  await handle.close();
}
