/**
 * Follows mappings until their copies are complete, and shows how far they are: bars on a terminal, else a line for
 * each tenth, and with JSON one object a line for each change.
 *
 * Complete is `copied`, or that the mapping is gone: a plain one ends at 100 %. `stopped` and `suspended` will not get
 * there by themselves and are failures. A restart of the engine meanwhile is waited for.
 */
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { MultiBar } from 'cli-progress';
import type { EngineApi } from '../api/engine-api.ts';
import { FlashCopyError } from '../base/errors.ts';
import type { MappingInfo } from '../base/model.ts';
import { type OutputForm, print } from './output.ts';
import { showPercent, showSize } from './sizes.ts';

/** How long to keep asking an engine that went away. */
const AWAY_MS = 30_000;
const ASK_AGAIN_MS = 500;

type Show = { update(info: MappingInfo): void; complete(): void };

export async function follow(engine: EngineApi, mappings: MappingInfo[], form: OutputForm): Promise<void> {
  for (const { name, copyRate, state } of mappings) {
    if (copyRate > 0 || state === 'copied') continue;
    throw new FlashCopyError(
      'WrongState',
      `Mapping ${name} has copy rate 0 and never becomes complete by itself. Give it one: flashcopy map rate ${name} 50.`,
    );
  }
  const bars = form === 'table' && process.stderr.isTTY ? newBars() : undefined;
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt);
  try {
    await Promise.all(
      mappings.map((mapping) => followOne(engine, mapping, showFor(mapping, form, bars), stop.signal)),
    );
  } finally {
    stop.abort();
    process.removeListener('SIGINT', interrupt);
    bars?.stop();
  }
}

async function followOne(
  engine: EngineApi,
  mapping: MappingInfo,
  show: Show,
  signal: AbortSignal,
): Promise<void> {
  // By id: another mapping of the same name is not what was asked for.
  const name = `#${mapping.id}`;
  for (let seenAt = Date.now(); !signal.aborted; ) {
    try {
      for await (const info of engine.watchMapping(name, signal)) {
        seenAt = Date.now();
        show.update(info);
        if (info.state === 'copied') return show.complete();
        if (info.state === 'stopped' || info.state === 'suspended') throw incomplete(info);
      }
      if (!signal.aborted) show.complete();
      return;
    } catch (error) {
      if (!(error instanceof FlashCopyError)) throw error;
      if (error.code === 'MappingNotFound') return show.complete();
      if (error.code !== 'Unavailable' || Date.now() - seenAt > AWAY_MS) throw error;
      await sleep(ASK_AGAIN_MS);
    }
  }
}

function incomplete({ name, state, error }: MappingInfo): FlashCopyError {
  const why = error === '' ? '' : `: ${error}`;
  return new FlashCopyError('WrongState', `Mapping ${name} is ${state} before its copy is complete${why}.`);
}

function newBars(): MultiBar {
  return new MultiBar({
    format: '{name} [{bar}] {percentage}% {copied} of {whole} {state}',
    hideCursor: true,
    autopadding: true,
    gracefulExit: false,
    stream: process.stderr,
  });
}

function showFor(mapping: MappingInfo, form: OutputForm, bars: MultiBar | undefined): Show {
  let last = mapping;
  if (form === 'json') return { update: (info) => print(JSON.stringify(info)), complete: () => undefined };
  if (bars) {
    const payload = (info: MappingInfo) => ({
      name: info.name,
      copied: showSize(info.copiedBytes),
      whole: showSize(info.totalBytes),
      state: info.state,
    });
    const bar = bars.create(mapping.totalBytes, mapping.copiedBytes, payload(mapping));
    const update = (info: MappingInfo) => {
      last = info;
      bar.update(info.copiedBytes, payload(info));
    };
    return { update, complete: () => update({ ...last, copiedBytes: last.totalBytes, state: 'copied' }) };
  }
  let shown = '';
  const line = (info: MappingInfo) => {
    const tenth = Math.floor((info.copiedBytes / Math.max(info.totalBytes, 1)) * 10);
    if (shown === `${info.state} ${tenth}`) return;
    shown = `${info.state} ${tenth}`;
    print(`${info.name} ${info.state} ${showPercent(info.copiedBytes, info.totalBytes)}`);
  };
  return { update: line, complete: () => print(`${mapping.name} complete`) };
}
