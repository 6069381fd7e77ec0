/** Helm, built from its sources, by the same Go module as the cluster's programs. */
import path from 'node:path';
import { cached, contentKey } from '../../support/cache.ts';
import { attempt, run } from '../../support/commands.ts';

const MODULE = path.resolve(import.meta.dirname, '../tools');
const BUILD_MS = 20 * 60_000;

/** The path of the program. */
export async function buildHelm(): Promise<string> {
  const { stdout: go } = await attempt('go', ['version']).catch(() => ({ stdout: '' }));
  if (go === '') throw new Error('Helm is built from its sources: install Go 1.26 or later (go.dev/dl)');
  const key = contentKey(['test/cluster/tools/go.mod', 'test/cluster/tools/go.sum'], [go]);
  return cached('helm', key, async (target) => {
    console.error('Building helm from its sources: two minutes, once');
    const args = [
      'build',
      '-trimpath',
      '-buildvcs=false',
      '-ldflags=-s -w',
      '-o',
      target,
      'helm.sh/helm/v4/cmd/helm',
    ];
    await run('go', args, { cwd: MODULE, env: { CGO_ENABLED: '0' }, timeoutMs: BUILD_MS });
  });
}
