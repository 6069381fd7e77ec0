// Original file: proto/csi/v1/csi.proto

import type { Long } from '@grpc/proto-loader';

/**
 * Parts from an offset on, so that a stream that broke off can be taken up again.
 */
export interface GetMetadataAllocatedRequest {
  'snapshotId'?: (string);
  'startingOffset'?: (number | string | Long);
  'maxResults'?: (number);
  'secrets'?: ({[key: string]: string});
}

/**
 * Parts from an offset on, so that a stream that broke off can be taken up again.
 */
export interface GetMetadataAllocatedRequest__Output {
  'snapshotId': (string);
  'startingOffset': (number);
  'maxResults': (number);
  'secrets': ({[key: string]: string});
}
