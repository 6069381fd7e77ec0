/** Helm, built from its sources, by the same Go module as the cluster's programs. */
import path from 'node:path';
import { cached, contentKey } from '../../support/cache.ts';
import { go, goVersion } from '../../support/go.ts';

const MODULE = path.resolve(import.meta.dirname, '../tools');
const BUILD_MS = 20 * 60_000;

/** The path of the program. */
export async function buildHelm(): Promise<string> {
  const key = contentKey(['test/cluster/tools/go.mod', 'test/cluster/tools/go.sum'], [await goVersion()]);
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
    await go(args, { cwd: MODULE, env: { CGO_ENABLED: '0' }, timeoutMs: BUILD_MS });
  });
}
