import type * as GrpcTypes from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import type { EtcdTls } from './etcd-url.js';
import { type Exchange, pathOf } from './exchange.js';
import { KV } from './gen/etcd_pb.js';
import type { Grpc } from './grpc.js';
import { writeSecretField } from './http2/fields.js';
import { QuickCalls } from './http2/quick-calls.js';
import { Standing } from './standing.js';

export interface MemberCall {
  readonly metadata: GrpcTypes.Metadata;
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** As etcd's own clients take them: servers cut off who pings more often than each 5 s. */
const pings = { everyMs: 10_000, withinMs: 5_000 } as const;

/** One member of the cluster. */
export class Member {
  readonly address: string;
  readonly client: GrpcTypes.Client;
  /** It failed, and is passed over until then while others are there. */
  suspectUntil = 0;
  readonly #standing: Standing;
  readonly #quick: QuickCalls;
  readonly #clock: Clock;

  constructor(
    address: string,
    {
      grpc,
      tls,
      clock,
    }: { readonly grpc: Grpc; readonly tls: EtcdTls | null; readonly clock: Clock },
  ) {
    this.address = address;
    this.client = connect(grpc, address, tls);
    this.#standing = new Standing(this.client.getChannel(), grpc.connectivityState);
    this.#quick = new QuickCalls({ address, tls, path: pathOf(KV.method.txn) }, clock);
    this.#clock = clock;
  }

  /** @throws what grpc-js or a QuickCalls connection does, and {WaymarkError} `unavailable` for what never left */
  unary<O>(exchange: Exchange<O>, { metadata, withinMs, signal }: MemberCall): Promise<O> {
    return new Promise((resolve, reject) => {
      let stop = (_silent: boolean): void => {};
      let unsent = false;
      const late = this.#clock.after(withinMs, () => stop(true), true);
      const abort = (): void => stop(false);
      const done = (error: Error | null, answer?: O): void => {
        late();
        signal?.removeEventListener('abort', abort);
        if (unsent)
          reject(new WaymarkError('unavailable', `no connection to etcd at ${this.address}`));
        else if (error !== null) reject(error);
        else if (answer === undefined) reject(new Error('an answer without a message'));
        else resolve(answer);
      };
      signal?.addEventListener('abort', abort, { once: true });
      const quickly = this.#quickly(exchange, metadata, done);
      if (quickly !== null) {
        stop = quickly;
        return;
      }
      const stood = this.#standing.fromNow();
      const { path, encode, decode } = exchange;
      const call = this.client.makeUnaryRequest<null, O>(
        path,
        encode,
        decode,
        null,
        metadata,
        {},
        done,
      );
      stop = () => {
        unsent = !stood();
        call.cancel();
      };
    });
  }

  /** Calls under way go on. */
  close(): void {
    this.client.close();
    this.#quick.close();
  }

  /** @returns gives it up, after silence or before; null when it goes by grpc-js */
  #quickly<O>(
    { quick, decode }: Exchange<O>,
    metadata: GrpcTypes.Metadata,
    done: (error: Error | null, answer?: O) => void,
  ): ((silent: boolean) => void) | null {
    if (quick === undefined) return null;
    const { message, busy } = quick;
    const connection = this.#quick.take(message.length, busy);
    if (connection === null) return null;
    const [token] = metadata.get('token');
    const fields = token === undefined ? null : writeSecretField('token', String(token));
    const cancel = connection.call(message, fields, (error, answer) => {
      done(error, answer && decode(answer));
    });
    return (silent) => {
      // The next goes by grpc-js, which looks after its connection.
      if (silent) connection.leave();
      cancel();
    };
  }
}

function connect(
  { credentials, Client }: Grpc,
  address: string,
  tls: EtcdTls | null,
): GrpcTypes.Client {
  const made =
    tls === null ? credentials.createInsecure() : credentials.createSsl(tls.ca, tls.key, tls.cert);
  return new Client(address, made, {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': pings.everyMs,
    'grpc.keepalive_timeout_ms': pings.withinMs,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    // Members that share nothing: a connection of this engine ends with it.
    'grpc.use_local_subchannel_pool': 1,
  });
}
