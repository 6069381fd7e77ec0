/**
 * The model check is worth what it notices: it runs against copies of the core that are broken in one place each
 * (mutants.ts), and every one must fail. The copy that is broken nowhere must not.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { MUTANTS, type Mutant } from './mutants.ts';

const repository = path.resolve(import.meta.dirname, '../..');
/** Histories that a mutant may survive; the first that notices it ends the search. */
const HISTORIES = 72;
const OPERATIONS = 800;
/** Of the processor: what hangs does not sleep. */
const SECONDS_MAX = 60;

/** Runs in the copy. A history that hangs is ended from outside, and counts as noticed. */
const program = `
  const { runHistory } = await import('./test/sim/history.ts');
  try {
    for (let seed = 1001; seed <= 1000 + ${HISTORIES}; seed++) runHistory({ seed, operations: ${OPERATIONS} });
  } catch (error) {
    console.log(error.message.split('\\n')[0]);
    process.exitCode = 1;
  }
`;

async function copyOfTheCore(): Promise<string> {
  const copy = await mkdtemp(path.join(os.tmpdir(), 'flashcopy-mutant-'));
  await writeFile(path.join(copy, 'package.json'), '{"type":"module"}');
  for (const directory of ['src/base', 'src/core', 'test/sim'])
    await cp(path.join(repository, directory), path.join(copy, directory), { recursive: true });
  return copy;
}

async function mutate(copy: string, mutant: Mutant): Promise<void> {
  const file = path.join(copy, 'src/core', mutant.file);
  const text = await readFile(file, 'utf8');
  const parts = text.split(mutant.find);
  assert.equal(parts.length, 2, `src/core/${mutant.file} has ${parts.length - 1} times: ${mutant.find}`);
  await writeFile(file, parts.join(mutant.replace));
}

/** Whether the histories went through, or what they complained about. */
async function survives(copy: string): Promise<{ survived: boolean; said: string }> {
  const command = [process.execPath, '--input-type=module', '--eval', program];
  const child = spawn('prlimit', [`--cpu=${SECONDS_MAX}`, ...command], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { survived: code === 0, said: code === null ? 'it hung' : said };
}

describe('The model check notices when', () => {
  let copy: string;
  beforeEach(async () => {
    copy = await copyOfTheCore();
  });
  afterEach(() => rm(copy, { recursive: true, force: true }));

  it('nothing is broken', async () => {
    const { survived, said } = await survives(copy);
    assert.ok(survived, said);
  }).timeout(10 * SECONDS_MAX * 1000);

  for (const mutant of MUTANTS) {
    it(mutant.what, async () => {
      await mutate(copy, mutant);
      const { survived, said } = await survives(copy);
      assert.ok(!survived, 'no history failed');
      // A mutant that does not even load would prove nothing.
      assert.match(said, /seed \d+, after|it hung/);
    }).timeout(10 * SECONDS_MAX * 1000);
  }
});
