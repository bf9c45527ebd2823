import type { Clock } from './clock.js';
import type { SpanFacts, Tracing } from './tracing.js';

/** What subscribers of the channel `waymark:call` are told when a call of a space has ended. */
export interface CallMessage {
  /** `commit`, `read`, `acquire`, `election.campaign`, … */
  readonly name: string;
  /** `client` of a space on a server, `internal` of one in this process. */
  readonly kind: SpanFacts['kind'];
  /** `waymark.namespace` and, of locks, `waymark.path`. */
  readonly attributes: NonNullable<SpanFacts['attributes']>;
  readonly tookMs: number;
  /** What it failed with; undefined: it did not. */
  readonly error: unknown;
}

const channelName = 'waymark:call';

/**
 * Tells the ends of calls on the channel `waymark:call` of node:diagnostics_channel. @returns null where nobody has subscribed by now, and where
 * there are no such channels, as in a browser
 */
export function callChannel(clock: Clock): Pick<Tracing, 'span'> | null {
  // Not imported: a bundle for browsers has no such module.
  const channels = globalThis.process?.getBuiltinModule?.('node:diagnostics_channel');
  const channel = channels?.channel(channelName);
  if (channel === undefined || !channel.hasSubscribers) return null;
  return {
    span(name, { kind, attributes = {} }, work) {
      const began = clock.now();
      const answer = work();
      const tell = (error?: unknown): void => {
        const tookMs = clock.now() - began;
        const message: CallMessage = {
          ...{ name: name.replace(/^waymark\./, ''), kind, attributes, tookMs, error },
        };
        channel.publish(message);
      };
      answer.then(() => tell(), tell);
      return answer;
    },
  };
}
