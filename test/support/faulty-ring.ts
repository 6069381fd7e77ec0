/**
 * A ring under which the disk is bad, as rules say (faults.ts): I/Os that fail, that move less than they were asked to,
 * that take seconds. What no rule is about passes through untouched, as does everything but files below a pool.
 *
 * The first rule that fits an I/O decides. Each time one has its effect, a line is added to the file of injections.
 */
import { appendFileSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { type Completion, Ring as RealRing, type Token } from '../../src/sys/ring.ts';
import { FAULTS_ENV, type Fault, type FaultyOp, injectionsOf } from './faults.ts';

export * from '../../src/sys/ring.ts';

/** How long rules may be out of date. */
const LOOK_MS = 5;

/** A file on a disk: not /dev/fuse, not an eventfd. */
const isFile = (target: string): boolean => target.startsWith('/') && !target.startsWith('/dev/');

export class Ring extends RealRing {
  readonly #file = process.env[FAULTS_ENV] ?? '';
  #rules: (Fault & { left: number })[] = [];
  #lookedAt = 0;
  #version = '';
  /** What an I/O of this token ends with, or what is submitted when its delay is over. */
  readonly #results = new Map<Token, number>();
  readonly #later = new Map<Token, () => void>();

  override adopt(completion: Completion): Token {
    const token: Token = super.adopt({
      complete: (result) => {
        const later = this.#later.get(token);
        if (later !== undefined) {
          this.#later.delete(token);
          later();
          return;
        }
        const replaced = this.#results.get(token);
        this.#results.delete(token);
        completion.complete(replaced ?? result);
      },
    });
    return token;
  }

  override read(fd: number, address: number, length: number, offset: number, token: Token): void {
    this.#under('read', fd, offset, length, token, (short) => super.read(fd, address, short, offset, token));
  }

  override write(fd: number, address: number, length: number, offset: number, token: Token): void {
    this.#under('write', fd, offset, length, token, (short) =>
      super.write(fd, address, short, offset, token),
    );
  }

  override writev(fd: number, vectors: readonly number[], offset: number, token: Token): void {
    const length = vectors.reduce((sum, value, i) => sum + (i % 2 === 1 ? value : 0), 0);
    // A delay outlasts the scratch memory of the caller's vectors: they are the array's own.
    this.#under('write', fd, offset, length, token, (short) =>
      super.writev(fd, cut(vectors, short), offset, token),
    );
  }

  override fdatasync(fd: number, token: Token): void {
    this.#under('flush', fd, 0, 0, token, () => super.fdatasync(fd, token));
  }

  override fsync(fd: number, token: Token): void {
    this.#under('flush', fd, 0, 0, token, () => super.fsync(fd, token));
  }

  override fallocate(fd: number, mode: number, offset: number, length: number, token: Token): void {
    this.#under('allocate', fd, offset, length, token, () =>
      super.fallocate(fd, mode, offset, length, token),
    );
  }

  #under(
    op: FaultyOp,
    fd: number,
    offset: number,
    length: number,
    token: Token,
    submit: (length: number) => void,
  ): void {
    const rule = this.#ruleFor(op, fd, offset, length);
    if (rule === undefined) {
      submit(length);
      return;
    }
    rule.left -= 1;
    appendFileSync(injectionsOf(this.#file), `${op} ${offset} ${length} ${rule.path}\n`);
    const act = (): void => {
      if (rule.errno === undefined) submit(rule.short === undefined ? length : Math.min(length, rule.short));
      else {
        this.#results.set(token, -rule.errno);
        super.timeout(0, token);
      }
    };
    if (rule.delayMs === undefined) {
      act();
      return;
    }
    this.#later.set(token, act);
    super.timeout(rule.delayMs, token);
  }

  #ruleFor(op: FaultyOp, fd: number, offset: number, length: number): (Fault & { left: number }) | undefined {
    this.#look();
    if (this.#rules.length === 0) return undefined;
    const target = readlinkSync(`/proc/self/fd/${fd}`);
    if (!isFile(target)) return undefined;
    return this.#rules.find((rule) => {
      if (rule.left <= 0 || rule.op !== op || !new RegExp(rule.path).test(target)) return false;
      return op === 'flush' || (offset < (rule.to ?? Infinity) && offset + length > (rule.from ?? 0));
    });
  }

  #look(): void {
    const now = performance.now();
    if (this.#file === '' || now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    const stat = statSync(this.#file, { bigint: true, throwIfNoEntry: false });
    const version = stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs}`;
    if (version === this.#version) return;
    this.#version = version;
    const rules = version === '' ? [] : (JSON.parse(readFileSync(this.#file, 'utf8')) as Fault[]);
    this.#rules = rules.map((rule) => ({ ...rule, left: rule.times ?? Infinity }));
  }
}

/** The first `bytes` of what pairs of address and length describe. */
function cut(vectors: readonly number[], bytes: number): number[] {
  const left: number[] = [];
  for (let i = 0; i < vectors.length && bytes > 0; i += 2) {
    const length = Math.min(bytes, vectors[i + 1]!);
    left.push(vectors[i]!, length);
    bytes -= length;
  }
  return left;
}
