/**
 * The SnapshotMetadata service: which parts of a snapshot hold data, and which were written between two snapshots of one
 * volume. From the engine's record of changes; no data is read.
 *
 * The parts come in order and do not overlap. A stream that broke off is taken up again at the end of the last part that
 * was received.
 */
import { FlashCopyError } from '../base/errors.ts';
import type { RangePage } from '../base/model.ts';
import { checkId, type Places } from './places.ts';
import type { SnapshotMetadataService } from './services.ts';

const RESULTS_DEFAULT = 1024;
const RESULTS_MAX = 16 * 1024;

type Asked = { startingOffset: number; maxResults: number };
type Answer = {
  blockMetadataType: 'VARIABLE_LENGTH';
  volumeCapacityBytes: number;
  blockMetadata: { byteOffset: number; sizeBytes: number }[];
};

export function snapshotMetadataService(places: Places): SnapshotMetadataService {
  return {
    async *GetMetadataAllocated(request, gone) {
      checkId('snapshot', request.snapshotId);
      const limit = limitOf(request);
      const { engine, info } = await places.get('snapshot', request.snapshotId);
      checkOffset(request, info.sizeBytes);
      const read = (from: number) => engine.allocatedRanges(`#${info.id}`, from, limit);
      yield* pages(read, request.startingOffset, gone);
    },
    async *GetMetadataDelta(request, gone) {
      const { baseSnapshotId, targetSnapshotId } = request;
      checkId('base snapshot', baseSnapshotId);
      checkId('target snapshot', targetSnapshotId);
      const limit = limitOf(request);
      const base = await places.get('snapshot', baseSnapshotId);
      const target = await places.get('snapshot', targetSnapshotId);
      if (base.node !== target.node)
        throw new FlashCopyError(
          'InvalidArgument',
          `Snapshots ${baseSnapshotId} and ${targetSnapshotId} are not of one volume. Name two snapshots of the same volume.`,
        );
      checkOffset(request, target.info.sizeBytes);
      const names = [`#${base.info.id}`, `#${target.info.id}`] as const;
      const read = (from: number) => target.engine.changedRanges(...names, from, limit);
      yield* pages(read, request.startingOffset, gone);
    },
  };
}

function limitOf({ maxResults }: Asked): number {
  if (maxResults >= 0) return Math.min(maxResults || RESULTS_DEFAULT, RESULTS_MAX);
  throw new FlashCopyError(
    'InvalidArgument',
    `${maxResults} results were asked for. Ask for 0 (any number) or more.`,
  );
}

function checkOffset({ startingOffset }: Asked, sizeBytes: number): void {
  if (startingOffset >= 0 && startingOffset <= sizeBytes) return;
  throw new FlashCopyError(
    'OutOfRange',
    `The starting offset is ${startingOffset}, and the snapshot has ${sizeBytes} bytes. Start within it.`,
  );
}

/** At least one answer, so that the size is told also where nothing is to be listed. */
async function* pages(
  read: (from: number) => Promise<RangePage>,
  startingOffset: number,
  gone: AbortSignal,
): AsyncGenerator<Answer> {
  let from: number | null = startingOffset;
  while (from !== null && !gone.aborted) {
    const page: RangePage = await read(from);
    yield {
      blockMetadataType: 'VARIABLE_LENGTH',
      volumeCapacityBytes: page.sizeBytes,
      blockMetadata: page.ranges.map(({ offset, length }) => ({ byteOffset: offset, sizeBytes: length })),
    };
    from = page.next;
  }
}
