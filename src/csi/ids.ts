/**
 * The ids that volumes, snapshots and group snapshots have in CSI, and how they lead to an engine.
 *
 *   volume, snapshot   <node>/<pool>/<engine id>
 *   group snapshot     <node>/<pool>/group/<hash of its name>
 *
 * The pool is the beginning of its UUID, so that a pool made anew on a node is never taken for the former one, whose
 * engine ids began at 1 as well.
 *
 * S1: an id from outside is matched as a whole against a strict pattern; what does not match is no id of ours and
 * names nothing. Parts of it are compared and looked up, never joined into a path.
 */
import { createHash } from 'node:crypto';
import { FlashCopyError } from '../base/errors.ts';

/** The key of the topology segment whose value is the node id. */
export const TOPOLOGY_KEY = 'topology.flashcopy.dev/node';

/** A node id is the value of a topology segment, which becomes the value of a Kubernetes label: 63 characters. */
const NODE = '[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?';
const POOL = '[0-9a-f]{8}';
const NODE_ID = new RegExp(`^${NODE}$`);
const ID = new RegExp(`^(?<node>${NODE})/(?<pool>${POOL})/(?<engineId>[1-9][0-9]{0,14})$`);
const GROUP_ID = new RegExp(`^(?<node>${NODE})/(?<pool>${POOL})/group/(?<hash>[0-9a-f]{32})$`);

/** Where a volume or snapshot is: its node, the pool there, and how the engine is asked for it. */
export type Place = { node: string; pool: string; name: string };
export type GroupPlace = { node: string; pool: string; hash: string };

/** A node's name that cannot be part of ids is refused when the node starts. */
export function checkNodeId(nodeId: string): string {
  if (NODE_ID.test(nodeId)) return nodeId;
  throw new FlashCopyError(
    'InvalidArgument',
    `${shown(nodeId)} cannot be a node id: use 1 to 63 lower-case letters, digits, '.' or '-', beginning and ending ` +
      'with a letter or digit. Give another with --node-id.',
  );
}

/** The part of a pool's UUID that ids bear. */
export function poolPart(poolId: string): string {
  return poolId.replaceAll('-', '').slice(0, 8).toLowerCase();
}

export function formatId(node: string, poolId: string, engineId: number): string {
  return `${node}/${poolPart(poolId)}/${engineId}`;
}

/** Undefined: it cannot be one of ours. */
export function parseId(id: string): Place | undefined {
  const parts = ID.exec(id)?.groups;
  return parts && { node: parts['node']!, pool: parts['pool']!, name: `#${parts['engineId']}` };
}

/** The same for the same name, wherever it is asked: a group needs no memory of its own. */
export function formatGroupId(node: string, poolId: string, name: string): string {
  return `${node}/${poolPart(poolId)}/group/${hashOf(name, 32)}`;
}

export function parseGroupId(id: string): GroupPlace | undefined {
  const parts = GROUP_ID.exec(id)?.groups;
  return parts && { node: parts['node']!, pool: parts['pool']!, hash: parts['hash']! };
}

/** The first hexadecimal digits of a name's SHA-256. */
export function hashOf(name: string, digits: number): string {
  return createHash('sha256').update(name).digest('hex').slice(0, digits);
}

/** Something from outside as errors show it: in quotes, with nothing that could confuse a terminal, and not too long. */
export function shown(text: string): string {
  const quoted = JSON.stringify(text.slice(0, 100).toWellFormed());
  return text.length > 100 ? `${quoted} (cut; ${text.length} characters)` : quoted;
}
