/**
 * Limits on everything, the same on every engine (rule K6). One over is `too_large`, naming the limit, before
 * any work. Bytes are counted after UTF-8 encoding.
 */
export const limits = {
  pathBytesMax: 1_024,
  pathDepthMax: 32,
  keyBytesMax: 4_096,
  valueBytesMax: 1_048_576,
  requestBytesMax: 1_310_720,
  /** Checks of a commit, added up along nesting and with the write guard's. */
  checksMax: 128,
  /** Operations of a commit, added up along nesting. */
  operationsMax: 128,
  /** Ranges of one watch. */
  rangesMax: 128,
  nestingMax: 8,
  namespaceBytesMax: 128,
  /** Of the pattern of a watcher. */
  patternBytesMax: 1_024,
  /** Messages, and their bytes, that wait for one member to take them. */
  inboxMessagesMax: 1_000,
  inboxBytesMax: 16_777_216,
  /** Of one message. */
  messageBytesMax: 1_048_576,
  /** Streams open to one member. */
  streamsMax: 100,
  /** Parts of a stream, and their bytes, that wait in one direction. */
  streamPartsMax: 256,
  streamBytesMax: 1_048_576,
  /** Of one message's deadline, and of a stream's. */
  deadlineMsMax: 600_000,
  ttlMsMin: 1_000,
  ttlMsMax: 31_536_000_000,
  /** The limit of a semaphore, and so the weight of a request: at least 1. */
  semaphoreLimitMax: 10_000,
  /** Of a key of the stash as it is encoded, and of the name of an index; its values have `valueBytesMax`. */
  stashKeyBytesMax: 1_024,
  stashIndexBytesMax: 128,
  /** Requests of one semaphore that hold or wait. */
  semaphorePlacesMax: 10_000,
} as const;

/**
 * Of commits that say they are `wide`: those of a store's API that takes more. A list of etcd's transactions has 128 operations, whatever
 * stands in its other lists; the bound of them all is ours.
 */
export const wideLimits = {
  valueBytesMax: 1_572_864,
  requestBytesMax: 2_097_152,
  checksMax: 4_096,
  operationsMax: 4_096,
} as const;

export type LimitName = keyof typeof limits;
