/**
 * The names of CSI's volumes, snapshots and groups, and what the engine calls them.
 *
 * CSI has a name space for each; an engine has one, with stricter names. The same CSI name always gives the same engine
 * name, and names of different kinds never meet: a snapshot's begins with "snap-", a group member's with "group-", a
 * hashed one with "csi-", and a volume whose own name begins so is hashed. What hashing could confuse, the label
 * with the CSI name tells apart.
 */
import { FlashCopyError } from '../base/errors.ts';
import { hashOf, shown } from './ids.ts';

const NAME_MAX = 128;
const ENGINE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const TAKEN = /^(?:csi|snap|group)-/;
/** What the specification bans: control characters other than white space. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BANNED = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/** `what`: "volume", "snapshot", "group snapshot". */
export function checkCsiName(what: string, name: string): string {
  const refuse = (found: string) => {
    throw new FlashCopyError('InvalidArgument', `A ${what} cannot be named ${shown(name)}: ${found}.`);
  };
  if (name === '') refuse('the name is missing');
  if (name.length > NAME_MAX) refuse(`at most ${NAME_MAX} characters are allowed`);
  if (BANNED.test(name)) refuse('it has control characters');
  return name;
}

export function engineVolumeName(name: string): string {
  return ENGINE_NAME.test(name) && !TAKEN.test(name) ? name : `csi-${hashOf(name, 40)}`;
}

export function engineSnapshotName(name: string): string {
  const plain = `snap-${name}`;
  return ENGINE_NAME.test(plain) ? plain : `csi-snap-${hashOf(name, 40)}`;
}

/** A source takes part in a group once. `source`: how the engine is asked for it, "#7". */
export function engineMemberName(groupName: string, source: string): string {
  return `group-${hashOf(groupName, 16)}-${source.slice(1)}`;
}
