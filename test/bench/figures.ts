/**
 * Figures: how they are made from several measurements, judged, and written down.
 */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest value that `percent` of all are not above. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** What design and measurement say about one promise. */
export type Verdict = { what: string; target: string; reached: string; met: boolean | undefined };

export type Table = { title: string; note: string; columns: string[]; rows: string[][] };

export const count = (value: number): string =>
  Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : '-';

export function seconds(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export const percent = (ratio: number): string =>
  Number.isFinite(ratio) ? `${(ratio * 100).toFixed(1)} %` : '-';

/** At least, or at most, so much of a peer's figure. Undefined if either was not measured. */
export function judge(
  what: string,
  ratio: number,
  bound: { least: number } | { most: number },
  show: (ratio: number) => string = percent,
): Verdict {
  const least = 'least' in bound;
  const limit = least ? bound.least : bound.most;
  const met = Number.isFinite(ratio) ? (least ? ratio >= limit : ratio <= limit) : undefined;
  return { what, target: `${least ? '>=' : '<='} ${show(limit)}`, reached: show(ratio), met };
}

export const times = (ratio: number): string => (Number.isFinite(ratio) ? `${ratio.toFixed(2)}x` : '-');

const verdictWord = (met: boolean | undefined): string =>
  met === undefined ? 'not measured' : met ? 'reached' : 'missed';

export function verdictTable(verdicts: readonly Verdict[]): Table {
  return {
    title: 'Targets',
    note: '',
    columns: ['what', 'target', 'reached', 'verdict'],
    rows: verdicts.map(({ what, target, reached, met }) => [what, target, reached, verdictWord(met)]),
  };
}

/** For a terminal: columns in line, figures to the right. */
export function tableAsText({ title, columns, rows }: Table): string {
  const widths = columns.map((column, at) => Math.max(column.length, ...rows.map((row) => row[at]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  ');
  return [
    `\n${title}`,
    line(columns),
    widths.map((width) => '-'.repeat(width)).join('  '),
    ...rows.map(line),
  ].join('\n');
}

export function tableAsMarkdown({ title, note, columns, rows }: Table): string {
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  const rule = columns.map((_, at) => (at === 0 ? '---' : '---:'));
  const text = note === '' ? [] : [note, ''];
  return [`## ${title}`, '', ...text, line(columns), line(rule), ...rows.map(line), ''].join('\n');
}
