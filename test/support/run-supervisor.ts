/** A supervisor in a process of its own, with a stand-in for the engine. Arguments: pool, run directories, mode, node. */
import path from 'node:path';
import process from 'node:process';
import { supervise } from '../../src/engine/supervisor.ts';

const [, , poolDir = '', runBase = '', mode = '', program = ''] = process.argv;
const engine = path.join(import.meta.dirname, 'fake-engine-process.ts');
try {
  process.exitCode = await supervise({
    poolDir,
    runBase,
    endpoint: 'unix:///nowhere',
    logBytes: 8 * 1024 * 1024,
    child: [program, engine, mode],
  });
} catch (error) {
  process.stderr.write(`${(error as Error).name}: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
