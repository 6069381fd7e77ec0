/**
 * Generates the TypeScript types of the gRPC interfaces, the project's own and the Container Storage Interface, and the
 * CustomResourceDefinitions, values, schema and README of the chart,
 * and the plain manifests.
 *
 *   node tools/generate.ts            writes them
 *   node tools/generate.ts --check    writes nothing; fails if what is committed is not what would be written
 *
 * The options say how messages look at run time, so `protoLoader.loadSync` must be given the same ones: names in
 * camel case, 64-bit integers as numbers, enums by name, absent fields with their defaults, oneofs by name.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { dump } from 'js-yaml';
import { customResourceDefinitions } from '../src/operator/crds.ts';
import { chartFiles } from './chart/files.ts';
import { MANIFESTS, manifestsFit, renderManifests } from './chart/manifests.ts';

const root = path.resolve(import.meta.dirname, '..');
const interfaces = [
  { proto: 'flashcopy/engine/v1/engine.proto', types: 'src/api/generated' },
  { proto: 'csi/v1/csi.proto', types: 'src/csi/generated' },
  { proto: 'pluginregistration/v1/registration.proto', types: 'src/csi/node/generated' },
];

const options = [
  '--longs=Number',
  '--enums=String',
  '--defaults',
  '--oneofs',
  '--includeComments',
  '--grpcLib=@grpc/grpc-js',
  '--importFileExtension=.ts',
];

function generateInto(directory: string, proto: string): void {
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

/** Whether a committed directory is, or has been made, what `make` puts into an empty one. */
function generate(committed: string, source: string, make: (directory: string) => void): boolean {
  const committedDir = path.join(root, committed);
  const freshDir = mkdtempSync(path.join(tmpdir(), 'flashcopy-generate-'));
  try {
    make(freshDir);
    const drift = driftBetween(contentOf(committedDir), contentOf(freshDir));
    if (drift.length === 0) return true;
    if (checkOnly) {
      console.error(`${committed} is not what ${source} gives. Run "npm run generate".`);
      for (const line of drift) console.error(`  ${line}`);
      return false;
    }
    rmSync(committedDir, { recursive: true, force: true });
    cpSync(freshDir, committedDir, { recursive: true });
    return true;
  } finally {
    rmSync(freshDir, { recursive: true, force: true });
  }
}

function generateCrds(directory: string): void {
  for (const crd of customResourceDefinitions()) {
    const text = dump(crd, { lineWidth: 120, noRefs: true });
    const header = '# Generated from src/operator/resources.ts by "npm run generate".\n';
    writeFileSync(path.join(directory, `${crd.metadata.name}.yaml`), header + text);
  }
}

/** Whether single files of a directory are, or have been made, what they are to be. */
function generateFiles(directory: string, source: string, files: Map<string, string>): boolean {
  const at = (name: string) => path.join(root, directory, name);
  const other = [...files].filter(
    ([name, text]) => !existsSync(at(name)) || readFileSync(at(name), 'utf8') !== text,
  );
  for (const [name, text] of other) {
    if (checkOnly) console.error(`${directory}/${name} is not what ${source} gives. Run "npm run generate".`);
    else writeFileSync(at(name), text);
  }
  return other.length === 0 || !checkOnly;
}

async function generateManifests(): Promise<boolean> {
  if (manifestsFit()) return true;
  if (checkOnly)
    console.error(`${MANIFESTS} is not what charts/flashcopy-csi gives. Run "npm run generate".`);
  else writeFileSync(path.join(root, MANIFESTS), await renderManifests());
  return !checkOnly;
}

const checkOnly = process.argv.includes('--check');
const done = [
  ...interfaces.map(({ proto, types }) =>
    generate(types, `proto/${proto}`, (directory) => generateInto(directory, proto)),
  ),
  generate('charts/flashcopy-csi/files/crds', 'src/operator/resources.ts', generateCrds),
  generate('deploy/crds', 'src/operator/resources.ts', generateCrds),
  generateFiles('charts/flashcopy-csi', 'tools/chart', chartFiles()),
];
// After the chart, which it is rendered from.
done.push(await generateManifests());
process.exitCode = done.every(Boolean) ? 0 : 1;
