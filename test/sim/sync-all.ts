/**
 * Syncs everything that can be synced, one after the other in any order: each target then shows its source, and nobody else shows anything
 * else than before. What was to be copied is in the change bitmaps: so this tells whether they have all of it.
 *
 * The model is not told: only for a machine that nobody goes on with.
 */
import type { History } from './history.ts';
import type { ModelMapping, ModelVolume } from './model.ts';
import { BLOCK } from './sim-file.ts';

export function syncAll(h: History): void {
  const shown = new Map<ModelVolume, number[]>();
  const synced = h.random.shuffled([...h.model.mappings.values()].filter((mapping) => canSync(h, mapping)));
  if (synced.length === 0) return;
  for (const volume of h.model.volumes.values()) if (!volume.offline) shown.set(volume, contentOf(h, volume));
  for (const { name, source, target } of synced) {
    h.machine.run(`sync ${name}`, h.machine.core.syncMapping(name));
    const [from, to] = [source, target].map((end) => h.model.volumes.get(end)!) as [ModelVolume, ModelVolume];
    const wanted = shown.get(from)!;
    shown.set(to, [...wanted, ...behind(h, from, to, shown.get(to)!)]);
  }
  for (const [volume, wanted] of shown)
    h.readAll(volume, (block, seen) => {
      if (seen !== wanted[block])
        h.wrong(volume, block, seen, [wanted[block]!], `after a sync of ${synced.map((m) => m.name)}`);
    });
}

/** What the target shows behind its source's end. In the grain in which that lies it is kept, or cleared. */
function behind(h: History, from: ModelVolume, to: ModelVolume, before: readonly number[]): number[] {
  const perGrain = to.grain / BLOCK;
  const kept = before.slice(from.blocks);
  const either = (perGrain - (from.blocks % perGrain)) % perGrain;
  if (either === 0 || kept.length === 0) return kept;
  const after = contentOf(h, to).slice(from.blocks);
  return kept.map((tag, i) => (i < either && after[i] === 0 ? 0 : tag));
}

function contentOf(h: History, volume: ModelVolume): number[] {
  const content: number[] = [];
  h.readAll(volume, (_, seen) => void content.push(seen));
  return content;
}

function canSync(h: History, mapping: ModelMapping): boolean {
  const state = h.view().mappings.get(mapping.name)?.state;
  const [source, target] = [mapping.source, mapping.target].map((name) => h.model.volumes.get(name));
  if (!mapping.incremental || (state !== 'copying' && state !== 'copied')) return false;
  if (source === undefined || target === undefined || source.offline || target.offline) return false;
  return target.blocks >= source.blocks;
}
