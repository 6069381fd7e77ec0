// Original file: proto/csi/v1/csi.proto

import type { Topology as _csi_v1_Topology, Topology__Output as _csi_v1_Topology__Output } from '../../csi/v1/Topology.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * What kubelet writes into the CSINode object.
 */
export interface NodeGetInfoResponse {
  'nodeId'?: (string);
  'maxVolumesPerNode'?: (number | string | Long);
  'accessibleTopology'?: (_csi_v1_Topology | null);
}

/**
 * What kubelet writes into the CSINode object.
 */
export interface NodeGetInfoResponse__Output {
  'nodeId': (string);
  'maxVolumesPerNode': (number);
  'accessibleTopology': (_csi_v1_Topology__Output | null);
}
