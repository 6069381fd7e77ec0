/**
 * What the driver keeps with a volume or snapshot in its engine, to know it again: the engine's labels are the only
 * memory that the controller has.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { Labels, VolumeInfo } from '../base/model.ts';
import { shown } from './ids.ts';

export const LABELS = {
  /** The name that it has in CSI. */
  name: 'csi/name',
  /** The part of the pool's UUID that is in its id. */
  pool: 'csi/pool',
  /** The parameters that it was made with. */
  params: 'csi/params',
  /** What a volume was made from: "snapshot:<id>" or "volume:<id>". */
  source: 'csi/source',
  /** The volume that a snapshot shows. */
  sourceVolume: 'csi/source-volume',
  /** The group snapshot that it is a member of. */
  group: 'csi/group',
  /** The filesystem that a volume was asked for with. */
  filesystem: 'csi/fs-type',
} as const;

/** The same for the same parameters, in whatever order they come. */
export function paramsLabel(parameters: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/**
 * Whether what has the name is what was asked for. Labels that are wanted and not there, or there and not wanted, make
 * a difference; the message names it.
 */
export function checkSame(
  what: string,
  existing: VolumeInfo,
  wanted: Labels,
  compared: readonly (keyof typeof LABELS)[],
): void {
  const differs = (text: string) => {
    throw new FlashCopyError(
      'AlreadyExists',
      `A ${what} named ${shown(wanted[LABELS.name] ?? existing.name)} exists already ${text}. Use another name.`,
    );
  };
  if (existing.labels[LABELS.name] !== wanted[LABELS.name])
    differs(`in the engine as ${existing.name}, and was not made under this name`);
  for (const key of compared) {
    const [found, asked] = [existing.labels[LABELS[key]] ?? '', wanted[LABELS[key]] ?? ''];
    if (found === asked) continue;
    if (key === 'params') differs(paramsDifference(found, asked));
    else differs(`with another ${WORDS[key] ?? key}: ${found || 'none'}, asked for was ${asked || 'none'}`);
  }
}

const WORDS: Partial<Record<keyof typeof LABELS, string>> = {
  source: 'content source',
  sourceVolume: 'source volume',
  group: 'group snapshot',
};

function paramsDifference(found: string, asked: string): string {
  const [was, is] = [parsed(found), parsed(asked)];
  const name = [...new Set([...Object.keys(was), ...Object.keys(is)])].find((each) => was[each] !== is[each]);
  const value = (from: Record<string, unknown>) => String(from[name!] ?? 'not given');
  return `with other parameters: ${name} was ${value(was)}, asked for was ${value(is)}`;
}

function parsed(label: string): Record<string, unknown> {
  return label === '' ? {} : (JSON.parse(label) as Record<string, unknown>);
}
