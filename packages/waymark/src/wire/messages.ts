/**
 * The first byte of every message that is not a call. Calls have their verbs from 0x20 on (engine-methods.ts,
 * host-methods.ts). Numbers are never given to something else.
 */
export const messages = {
  hello: 0x01,
  welcome: 0x02,
  ping: 0x03,
  pong: 0x04,
  /** The server is about to close: connect again, here or elsewhere. */
  goaway: 0x05,
  /** The caller gave up on a call; the call is still answered, exactly once. */
  cancel: 0x06,
  /** Where in a trace the next call stands; only to a server that says that it knows this. */
  trace: 0x07,
  ok: 0x10,
  error: 0x11,
  /** A piece of a message too long for a frame. */
  part: 0x12,
  /** One batch of a watch. */
  batch: 0x13,
  /** The answer to a call that ended because it was cancelled. */
  cancelled: 0x14,
} as const;
