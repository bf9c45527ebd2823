import { setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection, TlsOptions } from '@nats-io/transport-node';
import type { Dialer } from '../kit/dialer.js';
import type { SharedConnection } from '../kit/shared-connections.js';
import { natsFailure } from './failures.js';
import type { NatsPlace } from './place.js';

/** A connection that the endpoints of one server and account share. */
export interface NatsLink {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  /** Aborts when the connection is no use any more: the client itself leaves who waits for an answer waiting. */
  readonly gone: AbortSignal;
  /** Told the subjects that the server did not let through: it says so beside the answers. */
  readonly refused: Set<(subject: string) => void>;
}

const connectMs = 5_000;
/** A connection whose server is silent for twice as long is given up. */
const pingMs = 10_000;

export function openLink(place: NatsPlace, dialer: Dialer): SharedConnection<NatsLink> {
  const ending = new AbortController();
  let open: NatsConnection | undefined;
  const connection = connect(place, dialer, ending.signal).then((link) => {
    open = link.connection;
    return link;
  });
  const dropped = connection.then(
    (link) => link.connection.closed(),
    () => undefined,
  );
  return {
    connection,
    dropped,
    close: async () => {
      ending.abort();
      if (open !== undefined) return await open.close();
      // One that is still being opened ends by its own timeout at the latest.
      connection.then((link) => link.connection.close()).catch(() => undefined);
    },
  };
}

async function connect(
  { parts, account }: NatsPlace,
  dialer: Dialer,
  signal: AbortSignal,
): Promise<NatsLink> {
  const [{ connect: open }, { jetstream }] = await Promise.all([
    import('@nats-io/transport-node'),
    import('@nats-io/jetstream'),
  ]);
  const { address, family } = await dialer.resolve(parts.host, signal);
  const connection = await open({
    ...account,
    servers: `${family === 6 ? `[${address}]` : address}:${parts.port}`,
    name: 'waymark',
    tls: parts.scheme === 'nats+tls' ? verifying(parts.host) : null,
    timeout: connectMs,
    pingInterval: pingMs,
    maxPingOut: 2,
    // The next delivery connects anew, through the dialer, and to no server that another one names.
    reconnect: false,
    ignoreClusterUpdates: true,
    resolve: false,
    noAsyncTraces: true,
  });
  const refused: NatsLink['refused'] = new Set();
  void tellRefused(connection, refused);
  const gone = new AbortController();
  // As many as there are endpoints.
  setMaxListeners(0, gone.signal);
  const broke = (): void => gone.abort(natsFailure(undefined));
  void connection.closed().then(broke, broke);
  return { connection, jetstream: jetstream(connection), gone: gone.signal, refused };
}

/** The client passes these on to Node, whatever its types say: it knows the address alone. */
function verifying(host: string): TlsOptions {
  const name = isIP(host) === 0 ? { servername: host } : { host };
  return name as TlsOptions;
}

async function tellRefused(
  connection: NatsConnection,
  refused: NatsLink['refused'],
): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type !== 'error') continue;
    const { subject } = status.error as { readonly subject?: string };
    if (subject !== undefined) for (const tell of refused) tell(subject);
  }
}
