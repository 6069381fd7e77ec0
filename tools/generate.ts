/**
 * Generates the TypeScript types of the project's own gRPC interface.
 *
 *   node tools/generate.ts            writes them
 *   node tools/generate.ts --check    writes nothing; fails if what is committed is not what would be written
 *
 * The options say how messages look at run time, so `protoLoader.loadSync` must be given the same ones: names in
 * camel case, 64-bit integers as numbers, enums by name, absent fields with their defaults, oneofs by name.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const proto = 'flashcopy/engine/v1/engine.proto';
const committedDir = path.join(root, 'src/api/generated');

const options = [
  '--longs=Number',
  '--enums=String',
  '--defaults',
  '--oneofs',
  '--includeComments',
  '--grpcLib=@grpc/grpc-js',
  '--importFileExtension=.ts',
];

function generateInto(directory: string): void {
  const generator = path.join(root, 'node_modules/.bin/proto-loader-gen-types');
  // A relative directory: the generator writes the path it was given into what it generates.
  const args = [...options, '--includeDirs=proto', `--outDir=${directory}`, proto];
  execFileSync(generator, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Every file below a directory, by its path from there. */
function contentOf(directory: string): Map<string, string> {
  if (!existsSync(directory)) return new Map();
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => statSync(path.join(directory, name)).isFile());
  return new Map(files.map((name) => [name, readFileSync(path.join(directory, name), 'utf8')]));
}

function driftBetween(committed: Map<string, string>, fresh: Map<string, string>): string[] {
  const names = [...new Set([...committed.keys(), ...fresh.keys()])].sort();
  return names.flatMap((name) => {
    if (!committed.has(name)) return [`${name} is missing`];
    if (!fresh.has(name)) return [`${name} is no longer generated`];
    return committed.get(name) === fresh.get(name) ? [] : [`${name} differs`];
  });
}

function main(): number {
  const checkOnly = process.argv.includes('--check');
  if (!existsSync(path.join(root, 'proto', proto))) {
    // Without an interface there is nothing to generate, and nothing generated may be there either.
    if (checkOnly && !existsSync(committedDir)) return 0;
    console.error(`proto/${proto} does not exist, and the types in src/api/generated come from it.`);
    return 1;
  }

  const freshDir = mkdtempSync(path.join(tmpdir(), 'flashcopy-generate-'));
  try {
    generateInto(freshDir);
    const drift = driftBetween(contentOf(committedDir), contentOf(freshDir));
    if (drift.length === 0) return 0;
    if (checkOnly) {
      console.error(`src/api/generated is not what proto/${proto} gives. Run "npm run generate".`);
      for (const line of drift) console.error(`  ${line}`);
      return 1;
    }
    rmSync(committedDir, { recursive: true, force: true });
    cpSync(freshDir, committedDir, { recursive: true });
    return 0;
  } finally {
    rmSync(freshDir, { recursive: true, force: true });
  }
}

process.exitCode = main();
