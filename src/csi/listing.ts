/**
 * Lists in pages. The order is that of nodes and engine ids, and a page's token is the last id on it: what is made or
 * deleted between two pages neither repeats nor hides anything else, also when the last one of a page is deleted.
 *
 * A page fails while a node does not answer that may have something on it. CSI has no word for a list that lacks something: for
 * those who compare it with what they know (health monitors, whoever looks for leftovers), what is not in it was deleted. One
 * that fails is asked for again; a node that is lost for good is in none any more when its Node object is deleted.
 */
import { FlashCopyError } from '../base/errors.ts';
import { parseId, shown } from './ids.ts';
import type { Found, Kind, Places } from './places.ts';

export type Page = { found: Found[]; nextToken: string };

/** `maxEntries` 0: all that is left. `nodes`: the only ones to ask. `isWanted`: which of them to list. */
export async function pageOf(
  places: Places,
  kind: Kind,
  { maxEntries, startingToken }: { maxEntries: number; startingToken: string },
  { nodes: among, isWanted = () => true }: { nodes?: string[]; isWanted?: (found: Found) => boolean } = {},
): Promise<Page> {
  if (maxEntries < 0)
    throw new FlashCopyError(
      'InvalidArgument',
      `${maxEntries} entries were asked for. Ask for 0 (all) or more.`,
    );
  const after = tokenOf(startingToken);
  const nodes = (among ?? (await places.engines.nodes()))
    .sort()
    .filter((node) => after === undefined || node >= after.node);
  const found: Found[] = [];
  // Node by node, and no further than the page: a node that is not on it may be down.
  for (const node of nodes) {
    const all = await places.allOf(node, kind);
    const isLater = ({ info }: Found) => node !== after?.node || info.id > after.engineId;
    found.push(...all.filter((each) => isLater(each) && isWanted(each)));
    if (maxEntries > 0 && found.length > maxEntries) break;
  }
  if (maxEntries === 0 || found.length <= maxEntries) return { found, nextToken: '' };
  return { found: found.slice(0, maxEntries), nextToken: found[maxEntries - 1]!.id };
}

function tokenOf(token: string): { node: string; engineId: number } | undefined {
  if (token === '') return undefined;
  const place = parseId(token);
  if (place !== undefined) return { node: place.node, engineId: Number(place.name.slice(1)) };
  throw new FlashCopyError(
    'BadToken',
    `The starting token ${shown(token)} is not from this driver. Start again without one.`,
  );
}
