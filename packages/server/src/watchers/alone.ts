import { pino } from 'pino';
import {
  createLocalHost,
  createSpace,
  openEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { endpointKinds } from '../endpoints/kinds.js';
import { xmppAccountIn } from '../endpoints/xmpp/account-file.js';
import { createDialer } from '../endpoints/kit/guarded-dialer.js';
import { sealerFor } from './sealing-for.js';
import { WatcherService } from './service.js';

export interface AloneOptions {
  readonly engine: string;
  readonly owner: string;
  readonly ttlMs: number | undefined;
  /** How long history is held back for endpoints that fail or are behind. Default 4 hours. */
  readonly heldMs?: number | undefined;
  /** Networks that endpoints may lie in beside public ones. */
  readonly allowEndpointNet?: readonly string[] | undefined;
  readonly secretsKeyFile?: string | undefined;
  readonly xmppAccountFile?: string | undefined;
  readonly logLevel: string;
}

/** A processor in a process of its own. @throws {WaymarkError} `invalid`, `unavailable` */
export async function runWatchers(options: AloneOptions): Promise<AsyncDisposable> {
  const { owner, ttlMs, heldMs, allowEndpointNet: allow = [], secretsKeyFile: keyFile } = options;
  const logger = pino({ level: options.logLevel }, pino.destination({ dest: 2, sync: true }));
  const dialer = createDialer({ allow });
  const random = systemRandom;
  const shared = { clock: systemClock, random };
  const told = (message: string): void => logger.info(message);
  const sealer = await sealerFor({ engine: options.engine, keyFile, random, told });
  const kinds = endpointKinds(await xmppAccountIn(options.xmppAccountFile));
  let service: WatcherService | null = null;
  // Until it is known what is needed, all is: opening replays history, and would drop what an endpoint waits for.
  const needed = (): number | null => (service === null ? 0 : service.needed);
  const engine = await openEngine(options.engine, { ...shared, owner, told, history: { needed } });
  const space = createSpace(createLocalHost(engine, shared), { ...shared, owner, engine });
  const failed = (what: string, err: unknown): void => logger.warn({ err }, what);
  try {
    service = new WatcherService({
      ...shared,
      engine,
      owner,
      kinds,
      dialer,
      sealer,
      ttlMs,
      heldMs,
      failed,
    });
  } catch (error) {
    await space.close();
    throw error;
  }
  service.start({ space });
  return {
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await space.close();
    },
  };
}
