/** The cluster's name server, built from its sources. */
import path from 'node:path';
import { cached, contentKey } from '../support/cache.ts';
import { go, goVersion } from '../support/go.ts';

const MODULE = path.join(import.meta.dirname, 'coredns');
const BUILD_MS = 30 * 60_000;

export async function buildCoredns(): Promise<string> {
  return cached(
    'coredns',
    contentKey(['test/kind/coredns', 'test/kind/coredns.ts'], [await goVersion()]),
    async (target) => {
      const options = ['-trimpath', '-buildvcs=false', '-ldflags', '-s -w', '-o', target];
      await go(['build', ...options, '.'], {
        cwd: MODULE,
        env: { CGO_ENABLED: '0' },
        timeoutMs: BUILD_MS,
      });
    },
  );
}
