/**
 * A program that never stops writing, for the demo: run as `node writer.ts JOURNAL DATABASE`.
 *
 * It overwrites random places of DATABASE and appends to JOURNAL one record after the other, each numbered and durable
 * before the next one is begun. It tells its parent how far it is: the number of the last record that is durable.
 * So whoever sees a JOURNAL can say at which moment it was.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { tagSector } from '../support/disks.ts';

const PLACE_BYTES = 32 * 1024;
const RECORDS_AT_A_TIME = 8;

const [journalPath, databasePath] = process.argv.slice(2) as [string, string];
const { O_WRONLY, O_CREAT, O_APPEND, O_DSYNC } = constants;
const journal = openSync(journalPath, O_WRONLY | O_CREAT | O_APPEND | O_DSYNC);
const database = openSync(databasePath, O_WRONLY);
const places = Math.floor(fstatSync(database).size / PLACE_BYTES);

let durable = 0;
let ending = false;

function work(): void {
  for (let turn = 0; turn < RECORDS_AT_A_TIME; turn++) {
    writeSync(database, randomBytes(PLACE_BYTES), 0, PLACE_BYTES, randomInt(places) * PLACE_BYTES);
    writeSync(journal, tagSector(`record ${durable + 1}`));
    durable += 1;
  }
  if (!ending) {
    setImmediate(work);
    return;
  }
  closeSync(journal);
  closeSync(database);
  process.disconnect();
}

process.on('message', (message: 'how far?' | 'end') => {
  if (message === 'end') ending = true;
  else process.send!(durable);
});
// A Ctrl-C is for the demo, which ends this program in its turn.
process.on('SIGINT', () => {});
// Without its parent nobody would end it.
process.on('disconnect', () => {
  ending = true;
});
work();
