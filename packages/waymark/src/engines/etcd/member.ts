import type * as GrpcTypes from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import type { EtcdTls } from './etcd-url.js';
import { pathOf } from './exchange.js';
import { KV } from './gen/etcd_pb.js';
import type { Grpc } from './grpc.js';
import { QuickCalls } from './http2/quick-calls.js';
import type { Health, Judged } from './members.js';
import { Standing } from './standing.js';
import type { Reached } from './unary.js';

/** As etcd's own clients take them: servers cut off who pings more often than each 5 s. */
const pings = { everyMs: 10_000, withinMs: 5_000 } as const;

export interface MemberOptions {
  readonly grpc: Grpc;
  readonly tls: EtcdTls | null;
  readonly clock: Clock;
}

/** One member of the cluster. */
export class Member implements Reached, Judged {
  readonly address: string;
  readonly client: GrpcTypes.Client;
  readonly standing: Standing;
  readonly quick: QuickCalls;
  passedOverUntil = 0;
  health: Health = 'well';
  /** While it is asked how it is. */
  look: Promise<Health> | null = null;

  constructor(address: string, { grpc, tls, clock }: MemberOptions) {
    this.address = address;
    this.client = connect(grpc, address, tls);
    this.standing = new Standing(this.client.getChannel(), grpc.connectivityState);
    this.quick = new QuickCalls({ address, tls, path: pathOf(KV.method.txn) }, clock);
  }

  /** Calls under way go on. */
  close(): void {
    this.client.close();
    this.quick.close();
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
