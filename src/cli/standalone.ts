/** `flashcopy standalone`: the engine of one machine and, in a process beside it, CSI; both answer at one socket. */
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { socketPathOf } from '../api/endpoint.ts';
import { examples } from './context.ts';
import { defaultNodeId } from './csi.ts';
import { STOPPING } from './engine.ts';
import { addPoolOptions, type EngineOptions, superviseEngine } from './role-options.ts';

const self = fileURLToPath(import.meta.url);
const MAIN = path.resolve(path.dirname(self), `main${path.extname(self)}`);

type StandaloneOptions = EngineOptions & { csiEndpoint?: string };

export function addStandaloneCommand(program: Command): void {
  const standalone = program
    .command('standalone')
    .description('run everything for a pool of one machine, CSI too, until it is told to stop (SIGTERM)');
  addPoolOptions(standalone)
    .option('--csi-endpoint <url>', 'another unix socket for CSI, which --endpoint serves in any case')
    .addHelpText(
      'after',
      `${STOPPING}${examples(
        'flashcopy standalone --pool /var/lib/flashcopy/pool',
        'flashcopy standalone --pool /tmp/pool --endpoint unix:///tmp/pool.sock --log-size 512Mi',
      )}`,
    )
    .action(async (_options: object, command: Command) => {
      const options = command.optsWithGlobals<StandaloneOptions>();
      const csiEndpoint = options.csiEndpoint ?? `unix://${socketPathOf(options.endpoint)}.csi`;
      const csi = await keepCsi(options, csiEndpoint);
      try {
        process.exitCode = await superviseEngine(options, { csiEndpoint });
      } finally {
        await csi.stop();
      }
    });
}

/** In a process of its own: whatever happens to it, host I/O goes on. */
async function keepCsi({ endpoint, nodeId }: EngineOptions, csiEndpoint: string) {
  const { KeptProcess } = await import('./service-process.ts');
  const { checkNodeId } = await import('../csi/ids.ts');
  // What is wrong with them is told now, and not by a process that is started again and again.
  socketPathOf(csiEndpoint);
  const node = checkNodeId(nodeId ?? defaultNodeId());
  const args = ['--endpoint', endpoint, '--csi-endpoint', csiEndpoint, '--node-id', node];
  return new KeptProcess('CSI', [MAIN, 'csi', ...args]);
}
