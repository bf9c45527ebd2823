import { channel } from 'node:diagnostics_channel';

/**
 * Channels of node:diagnostics_channel on which a server tells what has ended: docs/reference/channels.md has each message. Who does not subscribe
 * costs it a look.
 */
export const channels = {
  /** A call of the engine. */
  engine: channel('waymark:server.engine'),
  /** A request over HTTP. */
  request: channel('waymark:server.request'),
  /** A try to deliver to an endpoint. */
  delivery: channel('waymark:server.delivery'),
  /** A connection that was not served, or ended for what it did. */
  refused: channel('waymark:server.refused'),
} as const;

/** @param message  made only where somebody listens */
export function publish(to: keyof typeof channels, message: () => object): void {
  const at = channels[to];
  if (at.hasSubscribers) at.publish(message());
}
