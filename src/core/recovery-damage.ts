/**
 * What recovery found damaged, and whom it concerns (B1): exactly those volumes are suspended, with file and place.
 *
 *   what is damaged             the volume        those that read through it
 *   content: FC bitmap, log     lost              lost
 *   file: the data file         suspended, lost   the same
 *   tracking: epochs, mapping   suspended         served
 *
 * Lost: while the others are served, what it holds cannot be known again. Its parent is written, and what it had to get
 * before that it either got or not. So it is offline in the catalog too, and damage that is mended later does not bring
 * it back with wrong content. Suspended: nothing is lost by waiting; mended, it is served by the next engine. Those whose
 * data file is not there wait, unless something could come to it meanwhile (bad-file.ts): then they are lost.
 *
 * Change bits of a damaged epoch say that everything changed (C2), so that whoever goes on with them copies too much.
 */
import { canWait, lackingChildren } from './bad-file.ts';
import { SLOT } from './log-record.ts';
import type { LogScan } from './log-scan.ts';
import type { VolumeRow } from './rows.ts';
import type { State } from './state.ts';
import type { Epoch, Mapping, Volume } from './volume.ts';

/** In memory only: the next engine finds out by itself whether it still is. */
export function suspendMapping(mapping: Mapping, error: string): void {
  const { row } = mapping;
  mapping.said ??= { state: row.state, error: row.error };
  mapping.row = { ...row, state: 'suspended', error };
}

export class Damage {
  private readonly state: State;
  private readonly contents = new Map<Volume, string>();
  private readonly trackings = new Map<Volume, string>();
  /** Rows of those that are lost and not yet offline in the catalog. */
  readonly lost: VolumeRow[] = [];

  constructor(state: State) {
    this.state = state;
  }

  get isNone(): boolean {
    const isBad = [...this.state.volumes.values()].some((v) => v.badFile !== '');
    return this.contents.size === 0 && this.trackings.size === 0 && !isBad;
  }

  content(volume: Volume, reason: string): void {
    if (!this.contents.has(volume)) this.contents.set(volume, reason);
  }

  file(volume: Volume, reason: string): void {
    volume.file.damage ||= reason;
  }

  tracking(volume: Volume, reason: string): void {
    if (!this.trackings.has(volume)) this.trackings.set(volume, reason);
  }

  /**
   * It was taken offline by an engine that died before the catalog said so: its flush had failed, or that of one that it reads
   * from. What of its file is on the disk is not known (B3).
   */
  unsaved(volume: Volume | undefined): void {
    if (volume === undefined || volume.row.unflushed === true) return;
    const reason = 'a flush of its data, or of data that it reads, failed just before the engine died';
    volume.row = { ...volume.row, unflushed: true };
    if (volume.row.offline !== '') this.lost.push(volume.row);
    this.content(volume, reason);
  }

  epoch(volume: Volume, epoch: Epoch, reason: string): void {
    epoch.damaged = true;
    this.tracking(volume, reason);
  }

  /** An epoch is missing, and whose is not known. Whose open one it was, its writes would not be recorded. */
  anyEpoch(reason: string): void {
    for (const v of this.state.volumes.values()) {
      for (const e of v.epochs) e.damaged = true;
      if (!v.readOnly && v.row.epoch > 0 && v.open === null && this.isAsked(v)) this.tracking(v, reason);
    }
  }

  private isAsked(volume: Volume): boolean {
    const { state } = this;
    if (volume.held !== null || state.mappingsFrom(volume).some((m) => m.row.cut > 0)) return true;
    return [...state.volumes.values()].some((v) => v.row.source === volume.row.id && !v.row.retired);
  }

  /**
   * Records of the log that cannot be read: they may have held grains and bits of everybody that lacks some. The bits of a process
   * that died speak of grains in the log too.
   */
  unknownRecords(scan: LogScan, warm: boolean): void {
    const [first] = scan.missing;
    const named = new Set(scan.records.flatMap((r) => r.header.entries.map((e) => e.bitmap)));
    const reason = `log at byte ${first!.slot * SLOT} is damaged: record ${first!.seq}, which may have held grains of it, cannot be read`;
    for (const v of this.state.volumes.values()) {
      for (const e of v.epochs) e.bitmap.setRange(0, e.bitmap.bits);
      if (v.held !== null && (warm || v.held.count < v.grains || named.has(v.held.id)))
        this.content(v, reason);
    }
  }

  /** After everything is loaded. */
  suspendAll(): void {
    for (const v of this.state.volumes.values())
      for (const e of v.epochs) if (e.damaged === true) e.bitmap.setRange(0, e.bitmap.bits);
    for (const [volume, reason] of this.contents) this.lose(volume, reason);
    for (const v of this.state.volumes.values())
      if (v.badFile !== '')
        if (canWait(v)) this.wait(v, v.badFile);
        else this.lose(v, v.badFile);
    for (const [volume, reason] of this.trackings) this.suspend(volume, reason);
    this.suspendMappings();
  }

  /** The catalog may know of a target that it is offline, and not yet what follows from it. */
  private suspendMappings(): void {
    for (const m of this.state.mappings.values()) {
      const offline = this.state.volumes.get(m.row.target)?.row.offline ?? '';
      if (offline !== '' && (m.row.state === 'copying' || m.row.state === 'copied'))
        suspendMapping(m, offline);
    }
  }

  private lose(volume: Volume, reason: string): void {
    if (volume.row.offline === '') {
      volume.row = { ...volume.row, offline: reason };
      this.lost.push(volume.row);
    }
    this.suspend(volume, reason);
    for (const child of lackingChildren(volume))
      this.lose(child, `it reads through ${volume.name}: ${reason}`);
  }

  private wait(volume: Volume, reason: string): void {
    this.suspend(volume, reason);
    for (const child of lackingChildren(volume))
      this.wait(child, `it reads through ${volume.name}: ${reason}`);
  }

  private suspend(volume: Volume, reason: string): void {
    const { state } = this;
    if (volume.suspended !== '') return;
    volume.suspended = reason;
    state.listener.log('error', 'volume is suspended', { volume: volume.name, reason });
    for (const m of state.mappings.values())
      if (m.row.target === volume.row.id && m.row.state !== 'suspended') suspendMapping(m, reason);
  }
}
