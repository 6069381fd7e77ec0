/**
 * The mount options that a user may ask for. What is not in the list is refused: an option can weaken the node (suid,
 * dev, errors=panic), the volume's durability (nobarrier) or name files of the node.
 *
 * Every filesystem is mounted nosuid,nodev, whatever is asked for.
 */
import { FlashCopyError } from '../../base/errors.ts';
import type { FilesystemType } from '../capabilities.ts';
import { shown } from '../ids.ts';

const FOR_ALL =
  /^(ro|rw|nosuid|nodev|noexec|exec|noatime|relatime|strictatime|nodiratime|diratime|lazytime|nolazytime|sync|dirsync|discard|nodiscard)$/;
const FOR_ONE: Readonly<Record<FilesystemType, RegExp>> = {
  ext4: /^(data=(ordered|journal)|commit=\d{1,3}|errors=remount-ro|(no)?acl|(no)?user_xattr|(no)?delalloc|journal_checksum|(no)?auto_da_alloc|init_itable(=\d{1,3})?|noinit_itable|stripe=\d{1,6}|inode_readahead_blks=\d{1,6})$/,
  xfs: /^(inode(32|64)|(no)?largeio|allocsize=\d{1,7}[km]?|logbufs=\d|logbsize=\d{1,6}k?|noalign|swalloc|nouuid|[ugp]qnoenforce|[ugp]quota|prjquota|usrquota|grpquota)$/,
};

/** Options that are allowed on some filesystem, or the error that names the first that is not. */
export function checkMountOptions(options: readonly string[]): void {
  const refused = options.find((option) => !isAllowed(option, 'ext4') && !isAllowed(option, 'xfs'));
  if (refused !== undefined)
    throw objection(refused, 'The driver does not allow it: remove it from the mount options.');
}

/** The same for the filesystem that the volume turned out to have. */
export function checkOptionsFor(type: FilesystemType, options: readonly string[]): void {
  const refused = options.find((option) => !isAllowed(option, type));
  if (refused !== undefined)
    throw objection(refused, `The volume has ${type}, which has no such option, or not allowed.`);
}

const isAllowed = (option: string, type: FilesystemType): boolean =>
  FOR_ALL.test(option) || FOR_ONE[type].test(option);

function objection(option: string, reason: string): FlashCopyError {
  return new FlashCopyError('InvalidArgument', `The mount option ${shown(option)} was asked for. ${reason}`);
}
