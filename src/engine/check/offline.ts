/**
 * Carries out the core's plans that only read, on the files of a pool that no engine has. An I/O ends before the plan
 * goes on. A file that is not there is an error; what lies past a file's end reads as zeros, as in the engine.
 */
import fs from 'node:fs';
import path from 'node:path';
import { assert, IoError } from '../../base/errors.ts';
import type { Block, IoOp, Plan } from '../../core/ops.ts';
import type { Memory } from '../../core/ports.ts';
import { errnoOf } from '../file-table.ts';

export class OfflineReader {
  private readonly dir: string;
  private readonly open = new Map<string, number>();
  readonly memory: Memory = {
    take: (bytes): Block => ({ bytes: new Uint8Array(bytes), address: 0 }),
    give: () => undefined,
  };

  constructor(dir: string) {
    this.dir = dir;
  }

  run<T>(plan: Plan<T>): T {
    let step = plan.next(0);
    while (!step.done) {
      const asked = step.value;
      assert(!('waiters' in asked), 'a plan that only reads waits for nobody');
      try {
        let result = 0;
        for (const io of Array.isArray(asked) ? asked : [asked]) result = this.read(io);
        step = plan.next(result);
      } catch (error) {
        if (!(error instanceof IoError)) throw error;
        step = plan.throw(error);
      }
    }
    return step.value;
  }

  /** To be opened again when it is asked for. */
  forget(file: string): void {
    const fd = this.open.get(file);
    if (fd === undefined) return;
    fs.closeSync(fd);
    this.open.delete(file);
  }

  close(): void {
    for (const file of [...this.open.keys()]) this.forget(file);
  }

  private read(io: IoOp): number {
    assert(io.kind === 'read', `a check does not ${io.kind}`);
    const file = io.file!.path;
    try {
      const fd = this.descriptor(file);
      const into = io.block!.bytes;
      for (let done = 0; done < io.length; ) {
        const n = fs.readSync(fd, into, io.start + done, io.length - done, io.offset + done);
        if (n === 0) into.fill(0, io.start + done, io.start + io.length);
        done = n === 0 ? io.length : done + n;
      }
      return io.length;
    } catch (error) {
      throw new IoError(errnoOf(error), 'read', file);
    }
  }

  private descriptor(file: string): number {
    let fd = this.open.get(file);
    if (fd === undefined) {
      fd = fs.openSync(path.join(this.dir, file), 'r');
      this.open.set(file, fd);
    }
    return fd;
  }
}
