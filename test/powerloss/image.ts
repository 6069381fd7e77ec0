/**
 * What a machine finds when its power is back: the content of every file and the rows of the catalog. Nothing is
 * volatile in it, and nothing in it changes: whoever writes, writes beside it (StateFile).
 */
import { BLOCK, type Content } from '../sim/sim-file.ts';

export type Blocks = ReadonlyMap<number, Content>;
type CatalogRow = { table: string; key: number; row: object };

/** A file as a state has it: blocks that survived lie over those that were durable. */
export class StateFile {
  size: number;
  private readonly base: Blocks;
  private over: ReadonlyMap<number, Content> | null;
  /** What was written since; begins as a copy of `over`. */
  private written: Map<number, Content> | null = null;

  constructor(size: number, base: Blocks, over: ReadonlyMap<number, Content> | null) {
    this.size = size;
    this.base = base;
    this.over = over;
  }

  /** null: a hole. */
  read(block: number): Content {
    const over = this.over?.get(block);
    return over === undefined ? (this.base.get(block) ?? null) : over;
  }

  write(block: number, content: Content): void {
    if (this.written === null) {
      this.written = new Map(this.over ?? []);
      this.over = this.written;
    }
    this.written.set(block, content);
    this.size = Math.max(this.size, (block + 1) * BLOCK);
  }

  /** All blocks, for whoever goes on from here. */
  blocks(): Map<number, Content> {
    return new Map([...this.base, ...(this.over ?? [])]);
  }
}

export type Image = {
  /** `${table} ${key}` -> JSON, as the simulated disk has it. */
  catalog: ReadonlyMap<string, string>;
  rows: readonly CatalogRow[];
  files: Map<string, StateFile>;
};

const parsed = new Map<string, Map<string, CatalogRow>>();
const PARSED_MAX = 20_000;
let parsedCount = 0;

/** The catalog's rows. Recovery changes only the engine's in place; the others are parsed once. */
export function rowsOf(catalog: ReadonlyMap<string, string>): CatalogRow[] {
  const rows: CatalogRow[] = [];
  for (const [name, json] of catalog) rows.push(rowOf(name, json));
  return rows;
}

function rowOf(name: string, json: string): CatalogRow {
  const [table, key] = name.split(' ');
  const parse = (): CatalogRow => ({ table: table!, key: Number(key), row: JSON.parse(json) as object });
  if (table === 'engine') return parse();
  if (parsedCount > PARSED_MAX) {
    parsed.clear();
    parsedCount = 0;
  }
  let same = parsed.get(name);
  if (same === undefined) {
    same = new Map();
    parsed.set(name, same);
  }
  let row = same.get(json);
  if (row === undefined) {
    row = frozen(parse());
    same.set(json, row);
    parsedCount++;
  }
  return row;
}

function frozen<T extends object>(object: T): T {
  for (const value of Object.values(object)) if (typeof value === 'object' && value !== null) frozen(value);
  return Object.freeze(object);
}
