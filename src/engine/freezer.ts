/**
 * Freezes filesystems, waits, and thaws them: a program of its own, run by the engine.
 *
 *   node freezer.ts freeze '[{"path", "device"}]' <limit in ms>   or   node freezer.ts thaw '[...]'
 *
 * Freezing writes back what is dirty, through the very engine that asked for it, so no thread of that may wait for it.
 * And whoever freezes may die: this thaws when its standard input ends (the engine is done, or dead), when the time is over,
 * and when it is told to stop. It never writes anywhere but to its own standard output. The first that it tells of an end
 * counts: that all is thawed comes also behind what is stuck.
 *
 * A path may lead elsewhere by the time that it is opened (the filesystem was unmounted, and the path is the machine's own
 * disk now). So what is frozen is what the opened directory is on, and that must be the device that was meant.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import process from 'node:process';
import { IoError } from '../base/errors.ts';
import { ioctl } from '../sys/libc.ts';
import type { FromFreezer, FrozenPlace } from './freezing.ts';

const FIFREEZE = 0xc0045877;
const FITHAW = 0xc0045878;
const EINVAL = 22;

type Opened = FrozenPlace & { fd: number };

const tell = (message: FromFreezer) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** Undefined: what is there is not on that device. */
function open(place: FrozenPlace): Opened | undefined {
  const fd = openSync(place.path, constants.O_RDONLY | constants.O_DIRECTORY);
  const { dev } = fstatSync(fd);
  const [major, minor] = place.device.split(':').map(Number);
  if (dev === ((minor! & 0xff) | (major! << 8) | ((minor! & ~0xff) << 12)) >>> 0) return { ...place, fd };
  closeSync(fd);
  return undefined;
}

function thaw(opened: readonly Opened[]): void {
  for (const { fd, path } of opened.toReversed()) {
    try {
      ioctl(fd, FITHAW, null, path);
    } catch (error) {
      // Somebody else has thawed it, which is as good.
      if (!(error instanceof IoError && error.errno === EINVAL))
        tell({ kind: 'stuck', error: String(error) });
    }
  }
}

function freeze(places: readonly FrozenPlace[]): Opened[] {
  const frozen: Opened[] = [];
  try {
    for (const place of places) {
      const opened = open(place);
      if (opened === undefined) throw new Error(`${place.path} is not on device ${place.device} any more`);
      ioctl(opened.fd, FIFREEZE, null, place.path);
      frozen.push(opened);
    }
    return frozen;
  } catch (error) {
    thaw(frozen);
    throw error;
  }
}

const [, , mode, places = '[]', limitMs = '0'] = process.argv;
const all = JSON.parse(places) as FrozenPlace[];

if (mode === 'thaw') {
  for (const place of all) {
    try {
      const opened = open(place);
      if (opened !== undefined) thaw([opened]);
    } catch (error) {
      tell({ kind: 'stuck', error: String(error) });
    }
  }
  tell({ kind: 'thawed', expired: false });
} else {
  let ended = false;
  process.stdin.on('end', () => {
    ended = true;
  });
  process.stdin.resume();
  const until = Date.now() + Number(limitMs);
  try {
    const frozen = freeze(all);
    let over = false;
    const finish = (expired: boolean) => {
      if (over) return;
      over = true;
      thaw(frozen);
      tell({ kind: 'thawed', expired });
      process.exitCode = 0;
      process.stdin.destroy();
      clearTimeout(timer);
    };
    const timer = setTimeout(() => finish(true), until - Date.now());
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => finish(true));
    process.stdin.on('end', () => finish(false));
    if (ended) finish(true);
    else tell({ kind: 'frozen' });
  } catch (error) {
    tell({ kind: 'failed', error: (error as Error).message });
    process.exitCode = 1;
    process.stdin.destroy();
  }
}
