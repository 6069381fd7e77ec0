/**
 * Branded numbers: what must not be mixed although all of it is a number.
 *
 * Volume and mapping ids are catalog row ids: positive integers that are never used twice in a pool, so that a
 * FUSE node id, a file name or an undo log entry made from one can never mean another object later.
 */
declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

export type VolumeId = Brand<number, 'VolumeId'>;
export type MappingId = Brand<number, 'MappingId'>;
export type BitmapId = Brand<number, 'BitmapId'>;
/** Numbers the epochs of one volume, from 1. The epoch that a cut opens has the cut's number. */
export type EpochSeq = Brand<number, 'EpochSeq'>;
