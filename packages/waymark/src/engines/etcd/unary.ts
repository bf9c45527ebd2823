import type { Client, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import type { Exchange } from './exchange.js';
import type { Standing } from './standing.js';

/** How a member is spoken to. */
export interface Reached {
  readonly address: string;
  readonly client: Client;
  readonly standing: Standing;
}

export interface Waits {
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
  /** For what must not be sent again, where there are other members: after so long, and each so long from then on, the member is asked. */
  readonly silence?:
    { readonly afterMs: number; readonly isWell: () => Promise<boolean> } | undefined;
}

interface Call<O> extends Waits {
  readonly exchange: Exchange<O>;
  readonly metadata: Metadata;
  readonly clock: Clock;
}

/**
 * One call of one member. A member that is silent and not well is given up before the time is over: what was sent to it stays as open as it
 * was, and what was not goes to another.
 *
 * @throws {WaymarkError} `unavailable` when the request certainly did not leave; else the error of gRPC
 */
export function unary<O>({ address, client, standing }: Reached, call: Call<O>): Promise<O> {
  const { exchange, metadata, clock, withinMs, signal, silence } = call;
  const { path, encode, decode } = exchange;
  return new Promise((resolve, reject) => {
    let unsent = false;
    let ended = false;
    let late = (): void => {};
    const ends = clock.now() + withinMs;
    const stood = standing.fromNow();
    const stop = (): void => {
      unsent = !stood();
      sent.cancel();
    };
    const wait = (ms: number): void => {
      const leftMs = ends - clock.now();
      if (silence === undefined || ms >= leftMs) late = clock.after(leftMs, stop, true);
      else late = clock.after(ms, () => ask(silence), true);
    };
    const ask = ({ afterMs, isWell }: NonNullable<Waits['silence']>): void => {
      if (!stood()) return stop();
      wait(withinMs);
      void isWell().then((well) => {
        if (ended) return;
        if (!well) return stop();
        late();
        wait(afterMs);
      });
    };
    const sent = client.makeUnaryRequest<null, O>(
      path,
      encode,
      decode,
      null,
      metadata,
      {},
      (error, answer) => {
        ended = true;
        late();
        signal?.removeEventListener('abort', stop);
        if (unsent) reject(new WaymarkError('unavailable', `no connection to etcd at ${address}`));
        else if (error !== null) reject(error);
        else if (answer === undefined) reject(new Error('an answer without a message'));
        else resolve(answer);
      },
    );
    wait(silence?.afterMs ?? withinMs);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
