import { setTimeout as delay } from 'node:timers/promises';
import type { EndpointUnderTest } from '@waymark/server/testing';
import type { XmppAccount } from '../../packages/server/src/endpoints/xmpp/account.js';
import type { SeededRandom } from '../faults/random.js';
import type { Arrival } from './arrivals.js';

/** An endpoint at a real server that changes are delivered to. */
export interface Place extends AsyncDisposable {
  readonly name: string;
  readonly uri: string;
  /** What is sent from there needs it. */
  readonly account?: XmppAccount | undefined;
  /** Whether it promises no more than order: what nobody was there to hear is lost. */
  readonly lossy?: boolean | undefined;
  /** Every change is told to it, or every tenth. */
  readonly each: 1 | 10;
  /** How long one try may take: so long is lost where it hangs. */
  readonly timeoutMs: number;
  /** From now on it takes what comes. */
  calm(): Promise<void>;
  /** What came so far, in order of arrival. */
  arrivals(): Promise<readonly Arrival[]>;
  /** For the report. */
  facts(): Readonly<Record<string, number>>;
}

/** A server with one endpoint. */
export interface Started extends Pick<Place, 'account' | 'lossy'>, Partial<Pick<Place, 'each'>> {
  readonly under: Pick<EndpointUnderTest, 'uri' | 'interrupt' | 'hold' | 'mend'> &
    AsyncDisposable & { received(): Promise<readonly Arrival[]> };
  /** Ends the server. */
  stop(): Promise<void>;
}

/** A place whose gate breaks or holds all connections now and then, until it is calm. */
export function gatedPlace(
  name: string,
  random: SeededRandom,
  { under, stop, account, lossy, each = 1 }: Started,
): Place {
  const ending = new AbortController();
  const { signal } = ending;
  const facts = { broken: 0, held: 0 };
  const passed = (ms: number): Promise<unknown> =>
    delay(ms, undefined, { signal }).catch(() => undefined);
  const moods = (async () => {
    for (;;) {
      await passed(1_000 + random.below(4_000));
      if (signal.aborted) return;
      const what = random.pick(['broken', 'held'] as const);
      facts[what] += 1;
      await (what === 'broken' ? under.interrupt() : under.hold());
      // Shorter than a TTL: what was held back comes before another sender.
      await passed(50 + random.below(400));
      await under.mend();
    }
  })();
  const calm = async (): Promise<void> => {
    ending.abort();
    await moods;
  };
  return {
    name,
    uri: under.uri,
    account,
    lossy,
    each,
    // Nothing hangs here: a slow machine has its time.
    timeoutMs: 20_000,
    calm,
    arrivals: () => under.received(),
    facts: () => facts,
    async [Symbol.asyncDispose]() {
      await calm();
      await under[Symbol.asyncDispose]();
      await stop();
    },
  };
}
