import type { Clock, Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { hostPortOf, isListener } from '../recipes/listener-address.js';
import type { Reach } from './peers.js';

/** For one try at a listener: whoever sends has a deadline, and may be told sooner. */
const connectTimeoutMs = 5_000;

/** Reaches members that listen, with a token where they ask for one; other hosts as `others` does. */
export function reachListener(
  clock: Clock,
  random: Random,
  token: string | undefined,
  others?: Reach,
): Reach {
  return async (address, { closed, signal }) => {
    if (!isListener(address)) {
      if (others !== undefined) return await others(address, { closed, signal });
      throw new WaymarkError('unavailable', `this process does not connect to others (${address})`);
    }
    const { connectHost } = await import('./remote-host.js');
    return await connectHost(`tcp://${hostPortOf(address)}`, {
      clock,
      random,
      client: 'a waymark member',
      token,
      connectTimeoutMs,
      reconnect: false,
      closed,
      signal,
    });
  };
}
