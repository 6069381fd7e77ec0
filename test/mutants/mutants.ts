/**
 * Ways to break the core: each takes one thing away that its invariants rest on. The histories of the model check must
 * notice every one of them.
 *
 * A mutant replaces one piece of text in one file of src/core, which has to be there exactly once. When code moves, move
 * its mutant with it.
 */
/** `find` becomes `replace`; `at`: where it is, absent where the file has it once. */
export type Edit = { file: string; find: string; replace: string; at?: number };

/** `also`: limits of the same place made small, so that small histories reach it. They alone break nothing. */
export type Mutant = Edit & { what: string; also?: readonly Edit[] };

export const MUTANTS: readonly Mutant[] = [
  {
    what: 'the host overwrites without giving the old content to the children (H1)',
    file: 'write.ts',
    find: 'if (pass.room > 0) yield* giveToChildren(state, volume, pass.takers, first, end);',
    replace: '',
  },
  {
    what: 'only one of two children gets the old content',
    file: 'give.ts',
    find: 'for (const child of takers) {\n      const stop',
    replace: 'for (const child of takers.slice(0, 1)) {\n      const stop',
  },
  {
    what: 'children for which there is no room at once get no turn of their own',
    file: 'write.ts',
    find: 'if (room > 0 && turn.length === takers.length) return { room, takers };',
    replace: 'if (room > 0) return { room, takers: turn };',
    also: [
      {
        file: 'give.ts',
        find: 'Math.max(2, Math.min(TURN_MAX, ',
        replace: 'Math.max(1, Math.min(1, ',
      },
    ],
  },
  {
    what: 'the undo log is not flushed before the source is overwritten (H1)',
    file: 'undo-log.ts',
    find: '      yield op.flush(this.file);\n',
    replace: '',
  },
  {
    what: 'a bit counts as durable as soon as it is set (H2)',
    file: 'volume.ts',
    find: 'return !this.pending.some((p) => p.anySet(first, count));',
    replace: 'return true;',
  },
  {
    what: 'a fake read is not checked again',
    file: 'content.ts',
    find: 'if (same(segments, again)) {',
    replace: 'if (same(segments, segments)) {',
  },
  {
    what: 'nobody waits for a lock',
    file: 'locks.ts',
    find: 'if (e.first < mine.end && mine.first < e.end) return true;',
    replace: '',
  },
  {
    what: 'a partly written grain is not filled up from the parent',
    file: 'write.ts',
    find: 'if (volume.held !== null && isPartial(volume, offset, length, first, end))',
    replace: 'if (volume.held !== null && isPartial(volume, offset, length, first, end) && first < 0)',
  },
  {
    what: 'a write does not make its grains held',
    file: 'write.ts',
    find: 'noteHeld(state, volume, first, count);\n  } catch',
    replace: '} catch',
  },
  {
    what: 'a write does not set change bits (C1)',
    file: 'write.ts',
    find: 'volume.open?.bitmap.setRange(first, count);\n    // 4.',
    replace: '// 4.',
  },
  {
    what: 'regions are not marked durably before their first write (C2)',
    file: 'give.ts',
    find: 'if (epoch === null || epoch.bitmap.allSet(first, end - first)) return;',
    replace: 'if (epoch !== undefined) return;',
  },
  {
    what: 'a mark is cut off with its record before the write that it is for goes on (C2)',
    file: 'volume.ts',
    find: '  epoch.bitmap.dirty = true;\n',
    replace: '',
  },
  {
    what: 'a bitmap generation is named before it is flushed (C3, B1)',
    file: 'bitmap-file.ts',
    find: '    yield op.flush(file);\n',
    replace: '',
  },
  {
    what: 'a cut does not wait for the writes that are inside',
    file: 'cut.ts',
    find: 'for (const v of gated) yield* v.gate.drain();',
    replace: '',
  },
  {
    what: 'a cut is reported before the source is flushed',
    file: 'cut.ts',
    find: 'while (yield* flushVolume(state, source)) yield* state.log.roomForBits();',
    replace: '',
  },
  {
    what: 'the target that was the newest keeps reading from the source after a cut',
    file: 'cut.ts',
    find: 'target.children.push(before);',
    replace: '',
  },
  {
    what: 'a sync forgets what the host wrote in the target',
    file: 'sync.ts',
    find: 'changedSince(target, since, bits);',
    replace: '',
  },
  {
    what: 'a sync forgets the oldest epoch',
    file: 'epochs.ts',
    find: 'row.seq >= seq && row.seq < until',
    replace: 'row.seq > seq && row.seq < until',
  },
  {
    what: 'a sync does not give the older neighbour what it reads through the target',
    file: 'sync.ts',
    find: 'else yield* clean(state, target, child, needed, false, false);',
    replace: '',
  },
  {
    what: "a sync does not give the target's own targets what will change",
    file: 'sync.ts',
    find: 'if (isOwn) yield* giveRange(state, child, needed);',
    replace: 'if (isOwn) continue;',
  },
  {
    what: 'who leaves the chain does not say where its own writes differ',
    file: 'leave.ts',
    find: 'changedSince(leaver, leaver.row.since, bits);',
    replace: '',
  },
  {
    what: 'a checkpoint does not wait for a commit that may fail and give a bitmap back',
    file: 'checkpoint.ts',
    find: 'while (yield* state.bitmaps.decided(bitmaps));',
    replace: 'while (bitmaps.length < 0);',
  },
  {
    what: 'a cut that is not told outlives the flush of its source that failed',
    file: 'offline.ts',
    find: '\n  loseCuts(state, volume);',
    replace: '',
  },
  {
    what: 'the next engine does not flush a source that is offline',
    file: 'core.ts',
    find: "v.suspended === '' && !v.unflushed",
    replace: "v.offline === ''",
  },
  {
    what: 'a checkpoint flushes the data before it takes the bits that speak of it',
    file: 'checkpoint.ts',
    find: '    yield* writeBitmap(state, pagesFor(state, job), row.gen + 1);\n    if (isFlushed) yield* flushData(state, job.volume);\n',
    replace:
      '    if (isFlushed) yield* flushData(state, job.volume);\n    yield* writeBitmap(state, pagesFor(state, job), row.gen + 1);\n',
  },
  {
    what: 'a checkpoint takes what is pending when it has written the bits',
    file: 'checkpoint.ts',
    find: '  job.row = row;\n',
    replace: '  if (isFlushed) job.sealed = job.volume.seal();\n  job.row = row;\n',
  },
  {
    what: 'a bitmap that changes while it is written does not differ from its file',
    file: 'checkpoint.ts',
    find: '  job.row = row;\n',
    replace: '  job.bitmap.dirty = false;\n  job.row = row;\n',
  },
  {
    what: 'a checkpoint names bits whose data was not flushed',
    file: 'checkpoint.ts',
    find: 'if (isFlushed) yield* flushData(state, job.volume);',
    replace: '',
  },
  {
    what: 'after the death of the process the bits of the shared memory are taken for durable',
    file: 'core.ts',
    find: 'if (warm) yield* makeBitsDurable(state);',
    replace: '',
  },
  {
    what: 'a torn record of the undo log counts',
    file: 'log-scan.ts',
    find: 'if (crc32(block.bytes.subarray(0, length)) !== e.crc) lost.push(e);',
    replace: '',
  },
  {
    what: 'a host flush does not flush the data (B2)',
    file: 'flush.ts',
    find: 'yield op.flush(file);',
    replace: '',
  },
];

const appendEach: Edit = {
  file: 'flush.ts',
  find: 'const RUNS_PER_APPEND = Math.floor(ENTRIES_MAX / 4);',
  replace: 'const RUNS_PER_APPEND = Math.min(1, ENTRIES_MAX);',
};

/** As when all that changes in a sync changes late. */
const cleanInsideOnly: Edit = {
  file: 'sync.ts',
  find: '      yield* cleanReaders(state, target, changed);\n      // 3.',
  replace: '      // 3.',
};

/** Without the second look it would look for ever. */
const lockAtOnce: Edit = {
  file: 'hydrate.ts',
  find: '    if (volume.unflushedCut === 0 || isInLog(volume, first, end)) return lock;\n    volume.locks.give(lock);\n',
  replace: '    return lock;\n',
};

/** Where the leaver is locked before its children get the last, the lock alone keeps most away. */
const lockLast: readonly Edit[] = [
  {
    file: 'leave.ts',
    find: '    lock = yield* leaver.locks.take(0, leaver.grains);\n    // 2. What changed since.\n',
    replace: '    // 2. What changed since.\n',
  },
  {
    file: 'leave.ts',
    find: '    // 3. The new parents.\n    const moved',
    replace:
      '    lock = yield* leaver.locks.take(0, leaver.grains);\n    // 3. The new parents.\n    const moved',
  },
];

/** Of mutants that are found in the text (sites.ts): what makes small histories reach the place. */
export const SMALLER: Readonly<Record<string, readonly Edit[]>> = {
  'flush.ts: yield* state.log.appendBits(entries) is not waited for': [appendEach],
  'hydrate.ts: yield* flushVolume(state, volume) is left out': [cleanInsideOnly],
  'hydrate.ts: yield* flushCut(state, volume) is left out': [lockAtOnce],
  'leave.ts: yield* v.gate.drain() is left out': lockLast,
};
