/**
 * What commands print to stdout: a table for people, or with `--output json` the answer itself for programs.
 */
import process from 'node:process';
import type { MappingInfo, VolumeInfo } from '../base/model.ts';
import { showPercent, showSize, showTime } from './sizes.ts';

export type OutputForm = 'table' | 'json';

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Columns as wide as their widest cell; an empty cell is shown as "-", so that the columns stay countable. */
function printTable(header: string[], rows: string[][]): void {
  const lines = [header, ...rows.map((row) => row.map((cell) => (cell === '' ? '-' : cell)))];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  for (const line of lines) {
    print(line.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd()); // biome-ignore format: one line
  }
}

/** One thing's properties, one a line. */
export function printProperties(properties: [name: string, value: string | number][]): void {
  const width = Math.max(...properties.map(([name]) => name.length));
  for (const [name, value] of properties) print(`${name.padEnd(width)}  ${value}`);
}

const withReason = (state: string, error: string): string => (error === '' ? state : `${state}: ${error}`);

export function printVolumes(volumes: VolumeInfo[], form: OutputForm): void {
  if (form === 'json') printJson(volumes);
  else printVolumeTable(volumes);
}

function printVolumeTable(volumes: VolumeInfo[]): void {
  printTable(
    ['ID', 'NAME', 'SIZE', 'USED', 'GRAIN', 'SPACE', 'SOURCE', 'DEVICE', 'STATE'],
    volumes.map((volume) => [
      `#${volume.id}`,
      volume.name,
      showSize(volume.sizeBytes),
      showSize(volume.allocatedBytes),
      showSize(volume.grainBytes),
      volume.provisioning,
      volume.source,
      volume.device,
      withReason(volume.state, volume.error),
    ]),
  );
}

export function printSnapshots(snapshots: VolumeInfo[], form: OutputForm): void {
  if (form === 'json') printJson(snapshots);
  else printSnapshotTable(snapshots);
}

function printSnapshotTable(snapshots: VolumeInfo[]): void {
  printTable(
    ['ID', 'NAME', 'SOURCE', 'SIZE', 'USED', 'CREATED', 'DEVICE', 'STATE'],
    snapshots.map((snapshot) => [
      `#${snapshot.id}`,
      snapshot.name,
      snapshot.source,
      showSize(snapshot.sizeBytes),
      showSize(snapshot.allocatedBytes),
      showTime(snapshot.createdAt),
      snapshot.device,
      withReason(snapshot.state, snapshot.error),
    ]),
  );
}

export function printMappings(mappings: MappingInfo[], form: OutputForm): void {
  if (form === 'json') printJson(mappings);
  else printMappingTable(mappings);
}

function printMappingTable(mappings: MappingInfo[]): void {
  printTable(
    ['ID', 'NAME', 'SOURCE', 'TARGET', 'STATE', 'COPIED', 'CHANGED', 'RATE', 'INCREMENTAL', 'CUT'],
    mappings.map((mapping) => [
      `#${mapping.id}`,
      mapping.name,
      mapping.source,
      mapping.target,
      withReason(mapping.state, mapping.error),
      showPercent(mapping.copiedBytes, mapping.totalBytes),
      showSize(mapping.changedBytes),
      String(mapping.copyRate),
      mapping.incremental ? 'yes' : 'no',
      showTime(mapping.cutAt),
    ]),
  );
}
