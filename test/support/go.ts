/**
 * Go, for what is built from its sources: the machine's, or, where there is none or an old one, Go's own toolchain from
 * the module proxy, where the go command itself gets a newer one from (go.dev/doc/toolchain).
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { cached, contentKey } from './cache.ts';
import { attempt, run } from './commands.ts';

const VERSION = '1.26.8';
/** As the go.mod files here say. */
const OLDEST = [1, 26] as const;
const FETCH_MS = 10 * 60_000;
/** Of the archives, for each of Node's names of an architecture. */
const SHA256: Readonly<Record<string, { name: string; sha256: string }>> = {
  x64: { name: 'amd64', sha256: '30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7' },
  arm64: { name: 'arm64', sha256: '02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99' },
};

export type GoOptions = { cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number };

let found: Promise<{ program: string; version: string }> | undefined;

const toolchain = () => (found ??= find());

/** What the command prints. */
export async function go(args: readonly string[], options: GoOptions = {}): Promise<string> {
  const { program } = await toolchain();
  // Commands of Go start others by the name "go".
  const PATH = `${path.dirname(program)}${path.delimiter}${process.env['PATH'] ?? ''}`;
  return run(program, args, { ...options, env: { ...options.env, PATH } });
}

/** A word for the key of what is built with it. */
export const goVersion = async (): Promise<string> => (await toolchain()).version;

async function find(): Promise<{ program: string; version: string }> {
  for (const program of ['go', '/usr/local/go/bin/go']) {
    const version = await versionOf(program);
    if (version !== undefined && isNewEnough(version)) return { program: await absolute(program), version };
  }
  const program = path.join(await fetched(), 'bin/go');
  return { program, version: await run(program, ['version']) };
}

async function versionOf(program: string): Promise<string | undefined> {
  const asked = await attempt(program, ['version']).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return asked?.status === 0 ? asked.stdout : undefined;
}

function isNewEnough(version: string): boolean {
  const [, major, minor] = / go(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) >= OLDEST[1]);
}

async function absolute(program: string): Promise<string> {
  return path.join((await run(program, ['env', 'GOROOT'])).trim(), 'bin/go');
}

/** The directory of the toolchain, unpacked as the go command does it (cmd/go/internal/toolchain/select.go). */
async function fetched(): Promise<string> {
  const archive = SHA256[process.arch];
  if (archive === undefined)
    throw new Error(
      `there is no Go 1.26 on this machine, and none is known for ${process.arch}: see go.dev/dl`,
    );
  return cached('go', contentKey([], [VERSION, archive.sha256]), async (target) => {
    const module = `golang.org/toolchain@v0.0.1-go${VERSION}.linux-${archive.name}`;
    console.error(`Fetching Go ${VERSION}: 70 MB, once`);
    await run(path.join(import.meta.dirname, 'system-packages.sh'), ['unzip'], { timeoutMs: FETCH_MS });
    const zip = await download(`${proxy()}/${module.replace('@', '/@v/')}.zip`, archive.sha256);
    const unpacked = `${target}-zip`;
    rmSync(unpacked, { recursive: true, force: true });
    mkdirSync(unpacked, { recursive: true });
    try {
      const file = path.join(unpacked, 'go.zip');
      writeFileSync(file, zip);
      await run('unzip', ['-q', file, '-d', unpacked]);
      restore(path.join(unpacked, module));
      renameSync(path.join(unpacked, module), target);
    } finally {
      rmSync(unpacked, { recursive: true, force: true });
    }
  });
}

const proxy = (): string => (process.env['GOPROXY'] || 'https://proxy.golang.org').split(/[,|]/)[0]!;

async function download(url: string, sha256: string): Promise<Buffer> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) });
  if (!answer.ok)
    throw new Error(
      `no Go ${OLDEST.join('.')} or later is here, and ${url} answers ${answer.status}: install it from go.dev/dl`,
    );
  const content = Buffer.from(await answer.arrayBuffer());
  const is = createHash('sha256').update(content).digest('hex');
  if (is !== sha256) throw new Error(`${url}: SHA-256 is ${is}, expected ${sha256}`);
  return content;
}

/** What a module's archive cannot hold: files that may be run, and others named go.mod. */
function restore(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    if (entry.name === '_go.mod') renameSync(file, path.join(entry.parentPath, 'go.mod'));
    const place = path.relative(root, entry.parentPath);
    if (place === 'bin' || place.startsWith('pkg/tool')) chmodSync(file, 0o755);
  }
}
