/**
 * Every place in the core that makes something durable or waits for it, and for each a mutant that does not: found in the
 * text, so that a new flush, log record, commit or drain has its mutant from the day it is written.
 *
 *   left out    flushes of a file, of a volume, of what a cut shows; the filling of a file from the log; bits that go home;
 *               the draining of a gate
 *   not waited  log records and commits: they are under way, and the plan goes on
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Mutant, SMALLER } from './mutants.ts';

const core = path.resolve(import.meta.dirname, '../../src/core');

const LEFT_OUT = [
  'op.flush',
  'flushVolume',
  'flushData',
  'flushCut',
  'flushSource',
  'flushSources',
  'fillVolume',
  'checkpointBits',
  '.gate.drain',
];
const NOT_WAITED = ['.log.append', '.log.appendBits', '.commit', '.commitTail'];

const escaped = (text: string): string => text.replaceAll('.', '\\.');
/** `yield* a.b.name(` */
const callOf = (names: string[]): RegExp =>
  new RegExp(
    `yield\\*? (?:[\\w!.]*(?:${
      names
        .filter((n) => n.startsWith('.'))
        .map(escaped)
        .join('|') || '\\0'
    })|(?:${
      names
        .filter((n) => !n.startsWith('.'))
        .map(escaped)
        .join('|') || '\\0'
    }))\\(`,
    'g',
  );

/** Where the call that opens with the parenthesis before `from` ends. */
function endOfCall(text: string, from: number): number {
  let open = 1;
  let at = from;
  while (open > 0) {
    const c = text[at++];
    if (c === undefined) throw new Error('a call that does not end');
    if ('([{'.includes(c)) open++;
    else if (')]}'.includes(c)) open--;
  }
  return at;
}

function sitesIn(file: string, text: string): Mutant[] {
  const found: { at: number; end: number; waits: boolean }[] = [];
  for (const [names, waits] of [
    [LEFT_OUT, false],
    [NOT_WAITED, true],
  ] as const)
    for (const match of text.matchAll(callOf(names)))
      found.push({ at: match.index, end: endOfCall(text, match.index + match[0].length), waits });
  const runner = file === 'undo-log.ts' || file === 'state.ts' ? 'this.runner' : 'state.runner';
  const seen = new Map<string, number>();
  return found
    .sort((a, b) => a.at - b.at)
    .map(({ at, end, waits }) => {
      const call = text.slice(at, end);
      const short = call.replaceAll(/\s+/g, ' ');
      const nth = (seen.get(short) ?? 0) + 1;
      seen.set(short, nth);
      const inner = call.replace(/^yield\*? /, '');
      // What is no plan of its own is made one.
      const plan = call.startsWith('yield*') ? inner : `(function* () { yield ${inner}; })()`;
      const name = `${file}: ${short}${nth > 1 ? ` (${nth})` : ''}`;
      const what = `${name} is ${waits ? 'not waited for' : 'left out'}`;
      return {
        what,
        also: SMALLER[what] ?? [],
        file,
        at,
        find: call,
        replace: waits ? `${runner}.spawn(${plan}, () => {})` : 'void 0',
      };
    });
}

/** One mutant for each. */
export function siteMutants(): Mutant[] {
  const files = readdirSync(core).filter((name) => name.endsWith('.ts'));
  return files.flatMap((file) => sitesIn(file, readFileSync(path.join(core, file), 'utf8')));
}
