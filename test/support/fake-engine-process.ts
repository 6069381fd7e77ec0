/**
 * Stands in for an engine process under a supervisor. Its argument says what it does:
 *
 *   serve    is ready, and stops when it is told to
 *   busy     is ready, and refuses to stop unless it is forced
 *   fail     says that the pool is damaged, and ends
 *   crash    is ready and ends with code 3; the fourth one serves
 *   sick     is ready, says what has become of its disk and kills itself; the second one serves
 *
 * Prints one JSON line to stdout for what it was told.
 */
import fs from 'node:fs';
import process from 'node:process';
import type { ToEngine, ToSupervisor } from '../../src/engine/child-messages.ts';

const [, , mode] = process.argv;
const tell = (message: ToSupervisor) => process.send!(message);
const show = (line: object) => fs.writeSync(1, `${JSON.stringify({ pid: process.pid, ...line })}\n`);

// Like a real one it goes on when its supervisor is gone.
setInterval(() => undefined, 60_000);

process.on('message', (message: ToEngine) => {
  show(message);
  if (message.kind === 'stop') {
    if (mode === 'busy' && message.handover) {
      process.send!({ kind: 'handedOver', users: ['volume #1'] } satisfies ToSupervisor, () =>
        process.exit(0),
      );
    } else if (mode === 'busy' && !message.forced)
      tell({ kind: 'refused', users: ['volume #1: mounted at /mnt'] });
    else process.exit(0);
  } else if (message.kind === 'kept') {
    return;
  } else if (mode === 'fail') {
    process.send!(
      { kind: 'failed', code: 'Damaged', message: 'The catalog is damaged.' } satisfies ToSupervisor,
      () => process.exit(1),
    );
  } else {
    // The descriptors that a real one gets are there: a FUSE connection, shared memory that keeps its content, a lock.
    const before = Buffer.alloc(4);
    fs.readSync(4, before, 0, 4, 0);
    const runs = before.readUInt32LE() + 1;
    fs.writeSync(4, Buffer.from(Uint32Array.of(runs).buffer), 0, 4, 0);
    const [fuse, lock, pool] = [3, 5, 6].map((fd) => fs.readlinkSync(`/proc/self/fd/${fd}`));
    show({ runs, fuse, lock, pool });
    tell({ kind: 'ready' });
    if (mode === 'crash' && runs < 4) process.exit(3);
    if (mode === 'sick' && runs < 2) {
      const sick: ToSupervisor = {
        kind: 'failed',
        code: 'Internal',
        message: 'The catalog cannot be written.',
      };
      process.send!(sick, () => process.kill(process.pid, 'SIGKILL'));
    }
  }
});
