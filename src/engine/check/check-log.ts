/**
 * The undo log: its size, the space that it has, and every record from the tail on. What a record that is damaged in the middle held is lost;
 * the last one cannot be told from one that was being written when the power went.
 */
import fs from 'node:fs';
import path from 'node:path';
import { FlashCopyError } from '../../base/errors.ts';
import { type PoolKey, poolKey, SLOT } from '../../core/log-record.ts';
import { type LogScan, scanLog } from '../../core/log-scan.ts';
import { PoolFile } from '../../core/ops.ts';
import { PUT_CATALOG_BACK } from '../../core/recovery-log.ts';
import type { EngineRow } from '../../core/rows.ts';
import { LOG_BYTES_MIN } from '../../core/undo-log.ts';
import { bytesWithoutSpace } from '../../sys/extents.ts';
import { LOST } from './damaged-rows.ts';
import { type Finding, finding, RESTORE } from './findings.ts';
import type { OfflineReader } from './offline.ts';
import type { PoolImage } from './pool-image.ts';

const LOG = 'log';

/** `isWhole`: what the catalog knows of the log is there, and nothing that it does not know. `isNewer`: than the catalog. */
export type LogCheck = {
  findings: Finding[];
  notes: string[];
  records: number;
  isWhole: boolean;
  isNewer: boolean;
};

/** `giveUp`: do without one that is not there, or is not this pool's. */
export function checkLog(image: PoolImage, reader: OfflineReader, giveUp: boolean): LogCheck {
  const stat = fs.statSync(path.join(image.dir, LOG), { throwIfNoEntry: false });
  const { engine, meta } = image;
  if (stat === undefined) return only(lost(image, 'the undo log is missing', 0, giveUp));
  if (image.nextId === undefined || meta === undefined) return { ...NOTHING, isWhole: false };
  const slots = Math.floor(stat.size / SLOT);
  const known = engine ?? { tailSlot: 0, tailSeq: 1, clean: true };
  const { logSlots = slots, tailSlot, named = false }: Partial<EngineRow> & { tailSlot: number } = known;
  if (slots !== logSlots || tailSlot >= slots) {
    const must = Math.max(logSlots, tailSlot + 1) * SLOT;
    return only(lost(image, `the undo log has ${stat.size} bytes and must have ${must}`, stat.size, giveUp));
  }
  try {
    const log = { file: new PoolFile(LOG), slots, memory: reader.memory, pool: poolKey(meta.pool), named };
    const scan = reader.run(scanLog(log, known, false));
    if (scan.foreign !== null) return only(otherLog(image, scan.foreign, giveUp));
    const older = olderCatalog(image, scan, image.nextId);
    const damage = [...older, ...scanFindings(image, scan)];
    const isWhole = damage.length === 0 && !scan.markLost;
    const isNewer = older.length > 0;
    const findings = [...damage, ...spaceFindings(image.dir, stat.size)];
    return { findings, notes: notesOf(scan), records: scan.records.length, isWhole, isNewer };
  } catch (error) {
    if (!(error instanceof FlashCopyError)) throw error;
    return only(finding(LOG, error.message, { remedy: 'Use the release that wrote it, or a later one.' }));
  }
}

/** Not damaged, but on a full disk all writes fail that need it. */
function spaceFindings(dir: string, size: number): Finding[] {
  const fd = fs.openSync(path.join(dir, LOG), 'r');
  try {
    const bytes = bytesWithoutSpace(fd, size, LOG);
    if (bytes === 0) return [];
    const what = `${bytes} of its ${size} bytes have no space of its own: they are holes, or shared with a copy`;
    const remedy =
      'The next start of an engine takes it, if there is that much: until then do not fill the disk.';
    return [finding(LOG, what, { remedy })];
  } finally {
    fs.closeSync(fd);
  }
}

const NOTHING = { findings: [], notes: [], records: 0, isNewer: false };

const only = (one: Finding): LogCheck => ({ ...NOTHING, findings: [one], isWhole: false });

function otherLog(image: PoolImage, pool: PoolKey, giveUp: boolean): Finding {
  const what = `the undo log is of another pool (${pool}), and no engine starts with it`;
  const one = "Put this pool's own log back, or its own catalog.db.";
  return doneWithout(image, what, one, image.engine!.logSlots! * SLOT, giveUp);
}

/** What may be lost with it is for a person to give up. */
function doneWithout(
  image: PoolImage,
  what: string,
  remedy: string,
  bytes: number,
  giveUp: boolean,
): Finding {
  const volumes = [...image.volumes.values()].map((v) => v.name);
  const lost = image.engine?.clean
    ? 'nobody is lost with it, because the pool was closed.'
    : 'volumes that lack grains, and those that read through them, are lost then, and all others are served.';
  if (giveUp)
    return finding(LOG, what, {
      volumes,
      remedy: `It is given up, and an empty one is made: ${lost}`,
      repair: (repairs) => repairs.giveUpLog(bytes),
    });
  return finding(LOG, what, {
    volumes,
    remedy: `${remedy} If it is gone for good: --repair --give-up-log makes an empty one; ${lost}`,
  });
}

/** An engine that closed its pool has left nothing in the log: then any empty one will do. */
function lost(image: PoolImage, what: string, found: number, giveUp: boolean): Finding {
  const { engine } = image;
  const volumes = [...image.volumes.values()].map((v) => v.name);
  if (engine === undefined) return finding(LOG, what, { volumes });
  const bytes = Math.max(engine.logSlots ?? 0, engine.tailSlot + 1) * SLOT;
  if (!engine.clean) return doneWithout(image, what, RESTORE, Math.max(bytes, LOG_BYTES_MIN), giveUp);
  // As the catalog says. Where it is from before it said so, as large as it was found.
  const unsaid = Math.max(bytes, Math.floor(found / SLOT) * SLOT, LOG_BYTES_MIN);
  return finding(LOG, what, {
    volumes,
    remedy: 'A new one is made: the pool was closed, and nothing was left in the log.',
    repair: (repairs) => repairs.makeLog(engine.logSlots === undefined ? unsaid : bytes),
  });
}

function notesOf(scan: LogScan): string[] {
  if (!scan.torn) return [];
  return [
    `log at byte ${scan.head * SLOT}: the last record is not whole. A power loss leaves such a one, and nothing counted on it.`,
  ];
}

/** An id is in the log only after the commit that gave it out. */
function olderCatalog(image: PoolImage, scan: LogScan, nextId: number): Finding[] {
  const found = scan.records.find(({ header }) =>
    header.entries.some((e) => e.volume >= nextId || e.bitmap >= nextId),
  );
  if (found === undefined && scan.newer === null) return [];
  const what =
    found === undefined
      ? `record ${scan.newer!.seq} of the log came after all that the catalog knows, which is gone`
      : `record ${found.header.seq} of the log names an id that it has not given out yet`;
  const volumes = [...image.volumes.values()].map((v) => v.name);
  return [
    finding('catalog.db', `the catalog is older than the undo log: ${what}`, {
      volumes,
      remedy: PUT_CATALOG_BACK,
    }),
  ];
}

function scanFindings(image: PoolImage, scan: LogScan): Finding[] {
  const found = scan.missing.map(({ seq, slot }) =>
    finding(LOG, `record ${seq} must be there, and cannot be read`, {
      offset: slot * SLOT,
      volumes: [...image.volumes.values()].filter((v) => v.held !== null).map((v) => v.name),
      remedy: LOST,
    }),
  );
  for (const { header, slot, lost: entries } of scan.records)
    for (const e of entries) {
      const volume = image.volumes.get(e.volume);
      if (volume === undefined || volume.held !== e.bitmap) continue;
      const what = `record ${header.seq}: grains ${e.first} to ${e.first + e.count - 1} of ${volume.name} do not have their checksum`;
      found.push(
        finding(LOG, what, {
          offset: (slot + header.headerBlocks + e.slot) * SLOT,
          volumes: image.withReaders(volume),
          remedy: LOST,
        }),
      );
    }
  return found;
}
