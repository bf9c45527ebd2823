import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Clock, Engine, Random } from 'waymark/engine';
import { endpointKinds } from '../endpoints/kinds.js';
import { xmppAccountIn } from '../endpoints/xmpp/account-file.js';
import { createDialer } from '../endpoints/kit/guarded-dialer.js';
import { sealerFor } from './sealing-for.js';
import { WatcherService } from './service.js';

export interface WatchersOptions {
  /** Networks that endpoints may be in beside the public ones, as `10.0.0.0/8`. */
  readonly allowEndpointNet?: readonly string[] | undefined;
  /** Keys that encrypt secrets of endpoints. Default with `file:DIR`: `DIR.key`, made where it is missing. */
  readonly secretsKeyFile?: string | undefined;
  /** Who messages of XMPP are from: a file of JSON, see docs/endpoints/xmpp.md. */
  readonly xmppAccountFile?: string | undefined;
  /** How long endpoints of a server that died wait for another; 1 000 to 60 000, default 5 000. */
  readonly ttlMs?: number | undefined;
  /** How long history is held back for endpoints that fail or are behind. Default 4 hours. */
  readonly heldMs?: number | undefined;
}

/** @throws {WaymarkError} `invalid` for networks and keys that are none */
export async function watchersOf(
  options: WatchersOptions,
  parts: {
    /** What the engine is opened by, or itself. */
    readonly given: string | Engine;
    readonly engine: Engine;
    readonly logger: Logger;
    readonly clock: Clock;
    readonly random: Random;
    readonly advertise: string | undefined;
  },
): Promise<WatcherService> {
  const { given, engine, logger, clock, random, advertise } = parts;
  const { allowEndpointNet: allow = [], secretsKeyFile: keyFile, ttlMs, heldMs } = options;
  const dialer = createDialer({ allow });
  const told = (message: string): void => logger.info(message);
  const sealer = await sealerFor({ engine: given, keyFile, random, told });
  const owner = advertise ?? `${hostname()}:${process.pid}`;
  const failed = (what: string, err: unknown): void => logger.warn({ err }, what);
  const kinds = endpointKinds(await xmppAccountIn(options.xmppAccountFile));
  return new WatcherService({
    ...{ engine, clock, random, owner, kinds, dialer, sealer, ttlMs, heldMs, failed },
  });
}
