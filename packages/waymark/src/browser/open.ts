import { systemClock, systemRandom } from '../core/system-clock.js';
import { WaymarkError } from '../core/errors.js';
import { withoutPassword } from '../core/shown-url.js';
import type { OpenOptions } from '../open.js';
import { connectHost } from '../space/remote-host.js';
import { createSpace } from '../space/space.js';
import type { Space } from '../space/types.js';

/**
 * `open` as a page has it: in the place of ../open.ts when the library is bundled for browsers. A page reaches servers, over WebSocket, and has no
 * engine of its own.
 *
 * @param url  `wss://host:port`, or the same server as `https://host:port`; `ws:` and `http:` alike; several as in ../open.ts
 * @throws {WaymarkError} `invalid` for anything but a server, `unavailable` when it cannot be reached
 */
export async function open(url = 'memory:', options: OpenOptions = {}): Promise<Space> {
  const { clock = systemClock, random = systemRandom, owner = `browser:${random.id()}` } = options;
  if (!/^(https?|wss?):\/\//.test(url)) {
    const shown = withoutPassword(url);
    const text = `a page has no engine '${shown}': open a server, as https://host:port or wss://host:port`;
    throw new WaymarkError('invalid', text);
  }
  const host = await connectHost(url, { ...options, client: owner });
  return createSpace(host, { clock, random, owner });
}
