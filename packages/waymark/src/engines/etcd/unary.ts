import type { Client, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import type { Exchange } from './exchange.js';
import { writeSecretField } from './http2/fields.js';
import type { QuickCalls } from './http2/quick-calls.js';
import type { Standing } from './standing.js';

/** How a member is spoken to. */
export interface Reached {
  readonly address: string;
  readonly client: Client;
  readonly standing: Standing;
  readonly quick: QuickCalls;
}

export interface Waits {
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
  /** For what must not be sent again, where there are other members: after so long, and each so long from then on, the member is asked. */
  readonly silence?:
    { readonly afterMs: number; readonly isWell: () => Promise<boolean> } | undefined;
}

type Done<O> = (error: Error | null, answer?: O) => void;

/** A request on its way. */
interface Sent {
  /** Whether it may have left this process. */
  left(): boolean;
  cancel(): void;
  /** Its member was silent. */
  silent(): void;
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
export function unary<O>(reached: Reached, call: Call<O>): Promise<O> {
  const { clock, withinMs, signal, silence } = call;
  return new Promise((resolve, reject) => {
    let unsent = false;
    let ended = false;
    let late = (): void => {};
    const ends = clock.now() + withinMs;
    const stop = (): void => {
      unsent = !sent.left();
      sent.cancel();
    };
    const giveUp = (): void => {
      sent.silent();
      stop();
    };
    const wait = (ms: number): void => {
      const leftMs = ends - clock.now();
      if (silence === undefined || ms >= leftMs) late = clock.after(leftMs, giveUp, true);
      else late = clock.after(ms, () => ask(silence), true);
    };
    const ask = ({ afterMs, isWell }: NonNullable<Waits['silence']>): void => {
      if (!sent.left()) return giveUp();
      wait(withinMs);
      void isWell().then((well) => {
        if (ended) return;
        if (!well) return giveUp();
        late();
        wait(afterMs);
      });
    };
    const done: Done<O> = (error, answer) => {
      ended = true;
      late();
      signal?.removeEventListener('abort', stop);
      if (unsent)
        reject(new WaymarkError('unavailable', `no connection to etcd at ${reached.address}`));
      else if (error !== null) reject(error);
      else if (answer === undefined) reject(new Error('an answer without a message'));
      else resolve(answer);
    };
    const sent = sendQuickly(reached, call, done) ?? send(reached, call, done);
    wait(silence?.afterMs ?? withinMs);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function send<O>(
  { client, standing }: Reached,
  { exchange: { path, encode, decode }, metadata }: Call<O>,
  done: Done<O>,
): Sent {
  const left = standing.fromNow();
  const call = client.makeUnaryRequest<null, O>(path, encode, decode, null, metadata, {}, done);
  return { left, cancel: () => call.cancel(), silent: () => undefined };
}

/** @returns null when it goes by grpc-js */
function sendQuickly<O>(
  { quick: calls }: Reached,
  { exchange: { quick, decode }, metadata }: Call<O>,
  done: Done<O>,
): Sent | null {
  if (quick === undefined) return null;
  const connection = calls.take(quick.message.length, quick.busy);
  if (connection === null) return null;
  const [token] = metadata.get('token');
  const fields = token === undefined ? null : writeSecretField('token', String(token));
  const cancel = connection.call(quick.message, fields, (error, answer) => {
    done(error, answer && decode(answer));
  });
  // After silence the next goes by grpc-js, which looks after its connection.
  return { left: () => true, cancel, silent: () => connection.leave() };
}
