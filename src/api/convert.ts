/**
 * The model's types and their messages on the wire, both ways. What has the same fields on both sides passes as it is;
 * here is what differs: enums (a word here, a prefixed constant there) and requests whose absent fields mean a default.
 *
 * From the wire comes anything: an unknown enum value, which a newer peer may send, is refused and not guessed.
 */
import { FlashCopyError } from '../base/errors.ts';
import type {
  CowFailure,
  CreateMapping,
  CreateSnapshot,
  CreateVolume,
  Labels,
  MappingInfo,
  MappingState,
  Provisioning,
  RangePage,
  ScrubInfo,
  VolumeInfo,
} from '../base/model.ts';
import type { CowFailure__Output } from './generated/flashcopy/engine/v1/CowFailure.ts';
import type { CreateMappingRequest__Output } from './generated/flashcopy/engine/v1/CreateMappingRequest.ts';
import type {
  CreateVolumeRequest,
  CreateVolumeRequest__Output,
} from './generated/flashcopy/engine/v1/CreateVolumeRequest.ts';
import type { Mapping, Mapping__Output } from './generated/flashcopy/engine/v1/Mapping.ts';
import type { MappingState__Output } from './generated/flashcopy/engine/v1/MappingState.ts';
import type { Provisioning__Output } from './generated/flashcopy/engine/v1/Provisioning.ts';
import type {
  RangePage__Output,
  RangePage as RangePageMessage,
} from './generated/flashcopy/engine/v1/RangePage.ts';
import type { Scrub, Scrub__Output } from './generated/flashcopy/engine/v1/Scrub.ts';
import type { ScrubState__Output } from './generated/flashcopy/engine/v1/ScrubState.ts';
import type { Volume, Volume__Output } from './generated/flashcopy/engine/v1/Volume.ts';
import type { VolumeKind__Output } from './generated/flashcopy/engine/v1/VolumeKind.ts';
import type { VolumeState__Output } from './generated/flashcopy/engine/v1/VolumeState.ts';

const provisionings: Record<Provisioning, Provisioning__Output> = {
  thin: 'PROVISIONING_THIN',
  thick: 'PROVISIONING_THICK',
};
const cowFailures: Record<CowFailure, CowFailure__Output> = {
  breakSnapshot: 'COW_FAILURE_BREAK_SNAPSHOT',
  failWrite: 'COW_FAILURE_FAIL_WRITE',
};
const volumeKinds: Record<VolumeInfo['kind'], VolumeKind__Output> = {
  volume: 'VOLUME_KIND_VOLUME',
  snapshot: 'VOLUME_KIND_SNAPSHOT',
};
const volumeStates: Record<VolumeInfo['state'], VolumeState__Output> = {
  online: 'VOLUME_STATE_ONLINE',
  suspended: 'VOLUME_STATE_SUSPENDED',
  stopped: 'VOLUME_STATE_STOPPED',
};
const scrubStates: Record<ScrubInfo['state'], ScrubState__Output> = {
  never: 'SCRUB_STATE_NEVER',
  running: 'SCRUB_STATE_RUNNING',
  stopped: 'SCRUB_STATE_STOPPED',
  done: 'SCRUB_STATE_DONE',
};
const mappingStates: Record<MappingState, MappingState__Output> = {
  idle: 'MAPPING_STATE_IDLE',
  preparing: 'MAPPING_STATE_PREPARING',
  prepared: 'MAPPING_STATE_PREPARED',
  copying: 'MAPPING_STATE_COPYING',
  copied: 'MAPPING_STATE_COPIED',
  stopping: 'MAPPING_STATE_STOPPING',
  stopped: 'MAPPING_STATE_STOPPED',
  suspended: 'MAPPING_STATE_SUSPENDED',
};

function wordOf<Word extends string>(table: Record<Word, string>, constant: string): Word {
  const word = (Object.keys(table) as Word[]).find((candidate) => table[candidate] === constant);
  if (word !== undefined) return word;
  const known = Object.values(table).join(', ');
  throw new FlashCopyError('InvalidArgument', `${constant} was sent, and this program knows ${known}.`);
}

/** The same for a request's field, whose unspecified value leaves the choice to the engine. */
function choiceOf<Word extends string>(table: Record<Word, string>, constant: string): Word | undefined {
  return constant.endsWith('_UNSPECIFIED') ? undefined : wordOf(table, constant);
}

export function volumeToWire(volume: VolumeInfo): Volume {
  return {
    ...volume,
    kind: volumeKinds[volume.kind],
    provisioning: provisionings[volume.provisioning],
    cowFailure: cowFailures[volume.cowFailure],
    state: volumeStates[volume.state],
  };
}

export function volumeFromWire(volume: Volume__Output): VolumeInfo {
  return {
    ...volume,
    kind: wordOf(volumeKinds, volume.kind),
    provisioning: wordOf(provisionings, volume.provisioning),
    cowFailure: wordOf(cowFailures, volume.cowFailure),
    state: wordOf(volumeStates, volume.state),
  };
}

export function mappingToWire(mapping: MappingInfo): Mapping {
  return { ...mapping, state: mappingStates[mapping.state] };
}

export function mappingFromWire(mapping: Mapping__Output): MappingInfo {
  return { ...mapping, state: wordOf(mappingStates, mapping.state) };
}

export function rangePageToWire({ next, ...page }: RangePage): RangePageMessage {
  return { ...page, ...(next !== null && { next }) };
}

export function rangePageFromWire({ ranges, next, sizeBytes }: RangePage__Output): RangePage {
  return { ranges, next: next ?? null, sizeBytes };
}

export function scrubToWire({ findings, state, ...scrub }: ScrubInfo): Scrub {
  return {
    ...scrub,
    state: scrubStates[state],
    findings: findings.map(({ offset, ...finding }) => ({ ...finding, ...(offset !== null && { offset }) })),
  };
}

export function scrubFromWire({ findings, state, ...scrub }: Scrub__Output): ScrubInfo {
  return {
    ...scrub,
    state: wordOf(scrubStates, state),
    findings: findings.map(({ volume, file, offset, what }) => ({
      volume,
      file,
      offset: offset ?? null,
      what,
    })),
  };
}

/** The wire would cut the fraction off without a word, and the engine could not refuse what it does not see. */
export function whole(what: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw new FlashCopyError('InvalidArgument', `The ${what} ${value} is not a whole number.`);
}

/** So it would with what does not fit into 32 bits. */
export function whole32(what: string, value: number): number {
  if (whole(what, value) === (value | 0)) return value;
  throw new FlashCopyError('InvalidArgument', `The ${what} ${value} is far beyond what it can be.`);
}

export function createVolumeToWire(request: CreateVolume): CreateVolumeRequest {
  const { name, sizeBytes, grainBytes = 0, provisioning, cowFailure, labels } = request;
  return {
    name,
    sizeBytes: whole('size', sizeBytes),
    grainBytes: whole('grain', grainBytes),
    ...(provisioning && { provisioning: provisionings[provisioning] }),
    ...(cowFailure && { cowFailure: cowFailures[cowFailure] }),
    ...(labels && { labels }),
  };
}

export function createVolumeFromWire(request: CreateVolumeRequest__Output): CreateVolume {
  const { name, sizeBytes, grainBytes, labels } = request;
  const provisioning = choiceOf(provisionings, request.provisioning);
  const cowFailure = choiceOf(cowFailures, request.cowFailure);
  return {
    name,
    sizeBytes,
    grainBytes,
    labels,
    ...(provisioning && { provisioning }),
    ...(cowFailure && { cowFailure }),
  };
}

export function createMappingFromWire(request: CreateMappingRequest__Output): CreateMapping {
  const { name, source, target, incremental } = request;
  return { name, source, target, incremental, ...copyRateOf(request) };
}

export function createSnapshotFromWire(request: {
  name: string;
  source: string;
  copyRate?: number;
  labels?: Labels;
}): CreateSnapshot {
  const { name, source, labels = {} } = request;
  return { name, source, labels, ...copyRateOf(request) };
}

/** 0 is a copy rate, so an absent one must stay absent. */
export function copyRateOf(request: { copyRate?: number }): { copyRate?: number } {
  return request.copyRate === undefined ? {} : { copyRate: whole32('copy rate', request.copyRate) };
}
