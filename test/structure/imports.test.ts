/**
 * The shape of src/: which room may import which, how long a file may be, and how it begins.
 *
 * A room is a directory of src/. Imports go one way, so that a room can be read, tested and trusted knowing only the
 * rooms it names here.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const src = path.resolve(import.meta.dirname, '../../src');
const LINES_MAX = 400;

/** What each room may import from, besides itself, packages and Node.js: rooms, and single files of rooms. */
const allowedImports: Record<string, readonly string[]> = {
  base: [],
  sys: ['base'],
  core: ['base'],
  fuse: ['base', 'sys', 'core'],
  engine: ['base', 'sys', 'core', 'fuse'],
  api: ['base', 'engine', 'core'],
  csi: ['base', 'sys', 'api'], // sys: mounts and programs, for the node service
  kube: ['base', 'api', 'csi/engines.ts', 'csi/ids.ts'], // a pod's engine is a node's engine
  operator: [
    ...['base', 'api', 'kube'],
    ...['csi/condition.ts', 'csi/engines.ts', 'csi/ids.ts', 'csi/labels.ts', 'csi/places.ts'],
  ],
  cli: ['base', 'api', 'engine', 'csi', 'kube', 'operator'], // but for base and api only to start roles
};

const roomOf = (name: string): string => name.split('/')[0]!;

interface SourceFile {
  /** From src/, with forward slashes: `core/plan.ts`. */
  readonly name: string;
  readonly text: string;
}

function sourceFiles(): SourceFile[] {
  if (!existsSync(src)) return [];
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[cm]?[jt]s$/.test(name))
    .map((name) => ({
      name: name.replaceAll(path.sep, '/'),
      text: readFileSync(path.join(src, name), 'utf8'),
    }));
}

const isGenerated = (file: SourceFile): boolean => file.name.split('/').includes('generated');

/** The ways one file names another: imports and re-exports, side effects, import(), and worker files. */
const importForms = [
  /^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"](?<target>[^'"]+)['"]/gm,
  /^\s*import\s*['"](?<target>[^'"]+)['"]/gm,
  /\bimport\(\s*['"](?<target>[^'"]+)['"]/g,
  /\bnew URL\(\s*['"](?<target>\.[^'"]+)['"]\s*,\s*import\.meta\.url/g,
];

function importsOf(text: string): string[] {
  return importForms.flatMap((form) => [...text.matchAll(form)].map((match) => match.groups!['target']!));
}

/** One line for each import that the table does not allow. */
function forbiddenImports(file: SourceFile): string[] {
  const room = roomOf(file.name);
  const allowed = Object.hasOwn(allowedImports, room) ? allowedImports[room] : undefined;
  if (!allowed || !file.name.includes('/')) return [`${file.name} is in no room of the table`];

  return importsOf(file.text).flatMap((target) => {
    if (!target.startsWith('.')) return [];
    const resolved = path.posix.join(path.posix.dirname(file.name), target);
    const targetRoom = roomOf(resolved);
    // Files that are not code (proto/, package.json) lie outside src/ and are read, not imported.
    if (targetRoom === '..') {
      return /\.[cm]?[jt]s$/.test(target) ? [`${file.name} imports ${target}, outside src/`] : [];
    }
    return targetRoom === room || allowed.includes(targetRoom) || allowed.includes(resolved)
      ? []
      : [`${file.name} imports ${resolved}: ${room} may not import ${targetRoom}`];
  });
}

function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

const startsWithDocComment = (text: string): boolean => /^(?:#!.*\n)?\/\*\*/.test(text);

describe('The rooms of src', () => {
  const files = sourceFiles();
  const written = files.filter((file) => !isGenerated(file));

  it('import only the rooms below them', () => {
    assert.deepEqual(files.flatMap(forbiddenImports), []);
  });

  it(`hold files of at most ${LINES_MAX} lines`, () => {
    const long = written.filter((file) => lineCount(file.text) > LINES_MAX);
    assert.deepEqual(
      long.map((file) => `${file.name}: ${lineCount(file.text)} lines`),
      [],
    );
  });

  it('hold files that begin by saying what they guarantee', () => {
    const silent = written.filter((file) => !startsWithDocComment(file.text));
    assert.deepEqual(
      silent.map((file) => file.name),
      [],
    );
  });
});

describe('The check of imports', () => {
  const verdict = (name: string, text: string): string[] => forbiddenImports({ name, text });

  it('is made of a table without cycles', () => {
    const reaches = (from: string, to: string): boolean =>
      allowedImports[from]!.map(roomOf).some((next) => next === to || reaches(next, to));
    const inCycle = Object.keys(allowedImports).filter((room) => reaches(room, room));
    assert.deepEqual(inCycle, []);
  });

  it('accepts the same room, a room below, packages and Node.js', () => {
    const text = [
      `import type { Plan } from './plan.ts';`,
      `import { assert } from '../base/assert.ts';`,
      `import fs from 'node:fs';`,
      `import koffi from 'koffi';`,
    ].join('\n');
    assert.deepEqual(verdict('core/chain.ts', text), []);
  });

  it('refuses every way to name a file of a room above', () => {
    const ways = [
      `import { open } from '../sys/files.ts';`,
      `import type { Fd } from '../sys/files.ts';`,
      `import {\n  open,\n  close,\n} from '../sys/files.ts';`,
      `export * from '../sys/files.ts';`,
      `import '../sys/files.ts';`,
      `const files = await import('../sys/files.ts');`,
      `new Worker(new URL('../sys/files.ts', import.meta.url));`,
    ];
    for (const way of ways) {
      assert.deepEqual(verdict('core/chain.ts', way), [
        'core/chain.ts imports sys/files.ts: core may not import sys',
      ]);
    }
  });

  it('refuses to leave src, and files in no room', () => {
    assert.equal(verdict('core/chain.ts', `import { disk } from '../../test/disk.ts';`).length, 1);
    assert.equal(verdict('elsewhere/file.ts', '').length, 1);
    assert.equal(verdict('file.ts', '').length, 1);
  });

  it('accepts of a room that is named by single files only those', () => {
    assert.deepEqual(verdict('kube/pods.ts', `import { parseId } from '../csi/ids.ts';`), []);
    assert.deepEqual(verdict('kube/pods.ts', `import { serveCsi } from '../csi/server.ts';`), [
      'kube/pods.ts imports csi/server.ts: kube may not import csi',
    ]);
  });

  it('takes no notice of imports in comments', () => {
    assert.deepEqual(verdict('core/chain.ts', `/**\n * import { open } from '../sys/files.ts'\n */`), []);
  });
});
