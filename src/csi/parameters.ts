/**
 * The parameters of StorageClasses, VolumeSnapshotClasses and VolumeAttributesClasses, as typed values.
 *
 * An unknown parameter is refused with its name and the known ones: a misspelt one must not be silently without effect.
 * What Kubernetes' own sidecars add (csi.storage.k8s.io/...) is none of ours and passes.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { CowFailure, Labels, Provisioning } from '../base/model.ts';
import { shown } from './ids.ts';

type Parameters = Readonly<Record<string, string>>;

/** What is not given is left to the engine, or to the source of a copy. */
export type VolumeParameters = {
  grainBytes?: number;
  copyRate?: number;
  incremental?: boolean;
  provisioning?: Provisioning;
  cowFailure?: CowFailure;
};

const KUBERNETES = 'csi.storage.k8s.io/';
const COPY_RATE_MAX = 150;
const GRAIN_MIN = 4096;
const GRAIN_MAX = 1024 * 1024;

const invalid = (message: string) => new FlashCopyError('InvalidArgument', message);

function choice<Word extends string>(name: string, value: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === value);
  if (word !== undefined) return word;
  throw invalid(`The parameter ${name} is ${shown(value)}; it can be ${words.join(' or ')}.`);
}

function copyRateIn(value: string): number {
  if (/^\d{1,3}$/.test(value) && Number(value) <= COPY_RATE_MAX) return Number(value);
  throw invalid(
    `The parameter copyRate is ${shown(value)}; it can be a whole number from 0 (no background copy) to ${COPY_RATE_MAX}.`,
  );
}

function grainIn(value: string): number {
  const match = /^(\d{1,8})(Ki|Mi)?$/.exec(value);
  const bytes = Number(match?.[1]) * { Ki: 1024, Mi: 1024 * 1024, '': 1 }[match?.[2] ?? '']!;
  if (bytes >= GRAIN_MIN && bytes <= GRAIN_MAX && Number.isInteger(Math.log2(bytes))) return bytes;
  throw invalid(
    `The parameter grainSize is ${shown(value)}; it can be a power of two from 4Ki to 1Mi, in bytes or with Ki or Mi.`,
  );
}

const flag = (name: string, value: string) => choice(name, value, ['true', 'false']) === 'true';

const VOLUME_KNOWN = ['grainSize', 'copyRate', 'incremental', 'provisioning', 'cowFailure'] as const;
const volumeReaders: Record<(typeof VOLUME_KNOWN)[number], (value: string) => VolumeParameters> = {
  grainSize: (value) => ({ grainBytes: grainIn(value) }),
  copyRate: (value) => ({ copyRate: copyRateIn(value) }),
  incremental: (value) => ({ incremental: flag('incremental', value) }),
  provisioning: (value) => ({ provisioning: choice('provisioning', value, ['thin', 'thick']) }),
  cowFailure: (value) => ({ cowFailure: choice('cowFailure', value, ['breakSnapshot', 'failWrite']) }),
};

/** One by one, refusing what is not known. */
function read<Known extends string>(
  what: string,
  parameters: Parameters,
  known: readonly Known[],
  each: (name: Known, value: string) => void,
): void {
  for (const [name, value] of Object.entries(parameters)) {
    if (name.startsWith(KUBERNETES)) continue;
    const found = known.find((one) => one === name);
    if (found === undefined)
      throw invalid(`A ${what} has no parameter ${shown(name)}; the known ones are ${known.join(', ')}.`);
    each(found, value);
  }
}

/** Of a StorageClass; what a VolumeAttributesClass says besides prevails. */
export function volumeParameters(parameters: Parameters, mutable: Parameters): VolumeParameters {
  const found: VolumeParameters = {};
  read('StorageClass', parameters, VOLUME_KNOWN, (name, value) =>
    Object.assign(found, volumeReaders[name](value)),
  );
  return { ...found, ...mutableParameters(mutable) };
}

export function mutableParameters(parameters: Parameters): Pick<VolumeParameters, 'copyRate'> {
  const found: Pick<VolumeParameters, 'copyRate'> = {};
  read('VolumeAttributesClass', parameters, ['copyRate'], (_name, value) => {
    found.copyRate = copyRateIn(value);
  });
  return found;
}

/** Of a VolumeSnapshotClass or VolumeGroupSnapshotClass. */
/** `fsFreeze` is there only when it is wanted: snapshots that were made without stay the same. */
export function snapshotParameters(parameters: Parameters): { copyRate: number; fsFreeze?: true } {
  const found: { copyRate: number; fsFreeze?: true } = { copyRate: 0 };
  read('VolumeSnapshotClass', parameters, ['copyRate', 'fsFreeze'], (name, value) => {
    if (name === 'copyRate') found.copyRate = copyRateIn(value);
    else if (flag(name, value)) found.fsFreeze = true;
  });
  return found;
}

/** What a claim is called in Kubernetes, for those who look at an engine. */
const KEPT: Readonly<Record<string, string>> = {
  [`${KUBERNETES}pvc/name`]: 'csi/pvc-name',
  [`${KUBERNETES}pvc/namespace`]: 'csi/pvc-namespace',
  [`${KUBERNETES}pv/name`]: 'csi/pv-name',
  [`${KUBERNETES}volumesnapshot/name`]: 'csi/volumesnapshot-name',
  [`${KUBERNETES}volumesnapshot/namespace`]: 'csi/volumesnapshot-namespace',
};

export function kubernetesLabels(parameters: Parameters): Labels {
  const kept = Object.entries(parameters).filter(
    ([name, value]) => KEPT[name] !== undefined && value.length <= 253,
  );
  return Object.fromEntries(kept.map(([name, value]) => [KEPT[name]!, value]));
}
