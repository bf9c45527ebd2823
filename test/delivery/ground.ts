import type { Namespace } from 'waymark';
import {
  createLocalHost,
  createSpace,
  type Engine,
  openEngine,
  systemClock,
  systemRandom,
  type WatcherDesk,
} from 'waymark/engine';
import type { EndpointKind } from '../../packages/server/src/endpoints/endpoint.js';
import { createDesk } from '../../packages/server/src/watchers/desk.js';
import { createSealer } from '../../packages/server/src/watchers/sealing.js';
import { readSealingKeys } from '../../packages/server/src/watchers/sealing-keys.js';
import { serve } from '../support/command.js';
import { Ledger } from './ledger.js';

export const sealingKey = `rig:${Buffer.alloc(32, 7).toString('base64')}`;

/** An engine that keeps the registry, and who registers, writes and reads along there. */
export interface Ground extends AsyncDisposable {
  readonly url: string;
  readonly engine: Engine;
  readonly desk: WatcherDesk;
  readonly namespace: Namespace<number>;
  readonly ledger: Ledger;
}

/** @param given  the engine that keeps the registry; default: one of a server of its own */
export async function startGround(kinds: readonly EndpointKind[], given?: string): Promise<Ground> {
  const { url, stop } = given === undefined ? await serveMemory() : { url: given, stop: null };
  const engine = await openEngine(url);
  const shared = { clock: systemClock, random: systemRandom };
  const space = createSpace(createLocalHost(engine, shared), { ...shared, owner: 'rig', engine });
  const sealer = createSealer({
    keys: readSealingKeys({ text: sealingKey }),
    random: systemRandom,
  });
  const ledger = new Ledger(engine);
  return {
    url,
    engine,
    desk: createDesk({ ...shared, engine, kinds, sealer }),
    namespace: space.namespace<number>('rig'),
    ledger,
    async [Symbol.asyncDispose]() {
      await ledger.close().catch(() => undefined);
      await space.close();
      await stop?.();
    },
  };
}

/** A server that delivers nothing. */
async function serveMemory(): Promise<{ url: string; stop: () => Promise<unknown> }> {
  const history = ['--history-revisions', '1000000'];
  const { command, url } = await serve(['--engine', 'memory', '--no-watchers', ...history]);
  return { url, stop: () => command.stop() };
}
