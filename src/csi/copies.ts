/**
 * Snapshots, members of groups and clones that are asked for again, and are there.
 *
 * That one is found does not say that it is made: until the engine says so, what it shows may not be durable (H4). So the
 * engine is asked again, which makes nothing a second time. One that broke is told as it is (a snapshot is not ready): who
 * asks for it has to have its id to delete it. The engine cannot be asked where a source is gone or offline: a copy that is
 * online nevertheless does not depend on that any more.
 */
import type { Found, Kind, Places } from './places.ts';

/** What the engine is to be asked for again; undefined: the copies are told as they are. */
export async function sourcesAgain(
  places: Places,
  kind: Kind,
  ids: readonly string[],
  copies: readonly Found[],
): Promise<Found[] | undefined> {
  if (!copies.every(isServed)) return undefined;
  const found = await Promise.all(ids.map((id) => places.find(kind, id)));
  const served = found.filter((source) => source !== undefined && isServed(source));
  return served.length === ids.length ? (served as Found[]) : undefined;
}

const isServed = ({ info }: Found): boolean => info.state === 'online';
