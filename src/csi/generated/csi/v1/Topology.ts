// Original file: proto/csi/v1/csi.proto


/**
 * A place: the key here is topology.flashcopy.dev/node.
 */
export interface Topology {
  'segments'?: ({[key: string]: string});
}

/**
 * A place: the key here is topology.flashcopy.dev/node.
 */
export interface Topology__Output {
  'segments': ({[key: string]: string});
}
