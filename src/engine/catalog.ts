/**
 * The catalog: what volumes, mappings, epochs and bitmaps a pool has, durably.
 *
 * One SQLite file with one table of rows; what a row means is known to the core alone. It guarantees
 * - a commit is all or nothing, and durable when it returns (WAL, synchronous=FULL);
 * - rows of an earlier format are migrated in the transaction of the first commit: what is found wrong before that leaves the
 *   pool in the format that it has;
 * - B1: each row has a checksum; a damaged row is reported by table, key and file and never guessed; a damaged file is
 *   an error and stays as it was found; a catalog of a newer format is refused, untouched;
 * - a commit that meets a full disk uses the WAL anew from its beginning, which takes no space, then the reserve; it
 *   changes nothing if all that is used up;
 * - B3: after any other failed write or flush every later commit fails, because what is on disk is unknown until the
 *   file is opened again: the engine process ends (data-link.ts), and the next one opens it.
 *
 * Used by the main thread of the engine process, which holds the pool's lock: nobody else has the file open. SQLite's
 * exclusive mode keeps its index of the WAL in memory instead of a mapped file, where a full disk would mean SIGBUS.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { EIO, ENOSPC, FlashCopyError, IoError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { RowChange } from '../core/ops.ts';
import {
  checkPages,
  damaged,
  formatOf,
  meta,
  primaryCode,
  putMetaSum,
  refuseDamagedWal,
  refuseLoneWal,
  refuseNewer,
  rowsOf,
  SQLITE_FULL,
  type StoredRows,
  settleWal,
  sumOf,
  told,
} from './catalog-file.ts';
import { lastFormat, MIGRATIONS, type Migration } from './migrations.ts';
import { Reserve } from './reserve.ts';

/** How long to wait before looking again whether the reserve can be made anew. */
const RESTORE_INTERVAL_MS = 10_000;
/** After so many commits `tidy` has something to do: their pages are some MiB. */
const TIDY_COMMITS = 128;
/** Pages in the WAL at which a commit does it itself, where nobody calls `tidy`. */
const WAL_PAGES_MAX = 16_384;

export class Catalog {
  readonly file: string;
  readonly poolId: string;
  private readonly db: DatabaseSync;
  /** Run, in the transaction that is open then, and not committed. */
  private pending: readonly Migration[];
  private readonly reserve: Reserve;
  private readonly put: StatementSync;
  private readonly remove: StatementSync;
  private broken: string | null = null;
  private restoreAfter = 0;
  private untidy = 0;

  /** Opens the pool's catalog in the last format of these, which it has with its first commit; a new one is made at once. */
  static open(poolDir: string, migrations: readonly Migration[] = MIGRATIONS): Catalog {
    const file = path.join(poolDir, 'catalog.db');
    refuseLoneWal(file);
    if (fs.existsSync(file)) {
      withRoom(poolDir, () => refuseNewer(file, lastFormat(migrations)));
      settleWal(file, refuseDamagedWal(file));
    }
    return told(file, () => new Catalog(poolDir, file, migrations));
  }

  private constructor(poolDir: string, file: string, migrations: readonly Migration[]) {
    this.file = file;
    this.reserve = new Reserve(poolDir);
    this.db = new DatabaseSync(file);
    try {
      this.db.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
      this.db.exec(`PRAGMA wal_autocheckpoint=${WAL_PAGES_MAX}`);
      checkPages(this.db, file);
      const format = formatOf(this.db);
      if (format === 0) refuseLost(poolDir, file);
      this.pending = migrations.filter((migration) => migration.format > format);
      if (this.migrates) this.begin();
      else putMetaSum(this.db);
      if (format === 0) {
        this.apply([]);
        syncDirectory(poolDir);
      }
      this.poolId = meta(this.db, 'pool')!;
      this.put = this.db.prepare('INSERT OR REPLACE INTO row (tab, key, body, sum) VALUES (?, ?, ?, ?)');
      this.remove = this.db.prepare('DELETE FROM row WHERE tab = ? AND key = ?');
      this.restoreReserve();
    } catch (error) {
      this.db.close();
      throw error;
    }
  }

  /** The first commit brings the file to the format that its rows are shown in. */
  get migrates(): boolean {
    return this.pending.length > 0;
  }

  /** Every row, those apart whose checksum or JSON is wrong. */
  load(): StoredRows {
    return told(this.file, () => rowsOf(this.db, this.file));
  }

  /** Reads all of it again from the disk, which may have changed since. What is wrong, or null. */
  verify(): string | null {
    try {
      told(this.file, () => {
        this.db.exec('PRAGMA shrink_memory'); // nothing is to be answered from memory
        checkPages(this.db, this.file);
      });
      const { damaged: rows } = this.load();
      return rows[0]?.error ?? null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Applies all changes in one durable transaction, or none of them: then it throws an IoError. */
  commit(changes: readonly RowChange[]): void {
    if (this.broken !== null) throw new IoError(EIO, `commit (after ${this.broken})`, this.file);
    for (let tries = 1; !this.applied(changes); tries++) {
      if (tries === 1) this.rewindWal();
      else if (!this.reserve.release()) throw new IoError(ENOSPC, 'commit', this.file);
      else if (tries === 2) log.warn('pool is full: the reserve is used for a commit', { file: this.file });
    }
    this.untidy += 1;
    this.restoreReserve();
  }

  /**
   * To be called between commits: carries a WAL that has become long into the file. The commit that did that would be a
   * slow one, and host I/O may be waiting for it.
   */
  tidy(): void {
    if (this.untidy < TIDY_COMMITS || this.broken !== null || !this.db.isOpen) return;
    this.untidy = 0;
    try {
      this.rewindWal();
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
    }
  }

  /** All of the WAL comes into the file, so that the next commit begins it anew: in the space that it has. */
  private rewindWal(): void {
    try {
      this.db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    } catch (error) {
      if (primaryCode(error) !== SQLITE_FULL) throw this.fail(error); // full: the WAL keeps it
    }
  }

  /** Why no commit is possible any more; null: they are. */
  get failure(): string | null {
    return this.broken;
  }

  /** Nothing may be under way. The last close leaves one file, without WAL. */
  close(): void {
    if (this.db.isTransaction) this.db.exec('ROLLBACK');
    this.restoreAfter = 0;
    this.restoreReserve();
    this.db.close();
  }

  /** All that the catalog lacks comes into one transaction, together with the new number. */
  private begin(): void {
    this.db.exec('BEGIN IMMEDIATE');
    if (!this.migrates) return;
    for (const migration of this.pending) migration.run(this.db);
    const put = this.db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    put.run('format', String(lastFormat(this.pending)));
    if (meta(this.db, 'pool') === undefined) put.run('pool', randomUUID());
    // With the number that it is of: a number with another one's checksum would be damage.
    putMetaSum(this.db);
  }

  private apply(changes: readonly RowChange[]): void {
    try {
      if (!this.db.isTransaction) this.begin();
      for (const { table, key, row } of changes) {
        if (row === null) this.remove.run(table, key);
        else {
          const body = JSON.stringify(row);
          this.put.run(table, key, body, sumOf(table, key, body));
        }
      }
      this.db.exec('COMMIT');
      this.pending = [];
    } catch (error) {
      // A full disk or an I/O error has SQLite roll back by itself.
      if (this.db.isTransaction) this.db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Whether there was space for it. */
  private applied(changes: readonly RowChange[]): boolean {
    try {
      this.apply(changes);
      return true;
    } catch (error) {
      if (primaryCode(error) === SQLITE_FULL) return false;
      throw this.fail(error);
    }
  }

  /** What an error other than a full disk means: a bug is passed on, the world's faults end all commits. */
  private fail(error: unknown): unknown {
    if (primaryCode(error) === undefined) return error;
    this.broken = (error as Error).message;
    log.error('catalog failed: no commit is possible until the engine is started again', {
      file: this.file,
      error: this.broken,
    });
    return new IoError(EIO, `commit (${this.broken})`, this.file);
  }

  /** Never fails a commit that is done: without a reserve the pool works as well, until it is full. */
  private restoreReserve(): void {
    const now = Date.now();
    if (now < this.restoreAfter) return;
    this.restoreAfter = now + RESTORE_INTERVAL_MS;
    try {
      this.reserve.restore();
    } catch (error) {
      log.warn('reserve could not be made', {
        pool: path.dirname(this.file),
        error: (error as Error).message,
      });
    }
  }
}

/** An empty catalog is right for a new pool only: beside volumes it would make garbage of them. */
function refuseLost(poolDir: string, file: string): void {
  const volumes = path.join(poolDir, 'volumes');
  const data = fs.existsSync(volumes) ? fs.readdirSync(volumes) : [];
  if (data.length === 0) return;
  throw damaged(file, `it is missing or empty, yet ${volumes} holds the data of ${data.length} volumes`);
}

/** A look at a catalog with a WAL makes SQLite's index of it, a file: on a full disk there is none without the reserve. */
function withRoom(poolDir: string, look: () => void): void {
  try {
    look();
  } catch (error) {
    if (!(error instanceof FlashCopyError) || !['IoError', 'OutOfSpace'].includes(error.code)) throw error;
    // SQLite calls that an I/O error, and what the filesystem says is free may be for itself alone.
    if (!new Reserve(poolDir).release())
      throw fs.statfsSync(poolDir).bavail === 0 ? new IoError(ENOSPC, 'opening', poolDir) : error;
    look();
  }
}

function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
