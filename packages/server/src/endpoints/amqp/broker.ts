import { once } from 'node:events';
import { isIP } from 'node:net';
import type { ChannelModel } from 'amqplib';
import { DeliveryFailure, type EndpointTools } from '../endpoint.js';
import type { Dialer } from '../kit/dialer.js';
import type { SharedConnection } from '../kit/shared-connections.js';
import { unlessAborted } from '../kit/unless-aborted.js';
import { BrokerChannel } from './broker-channel.js';
import { brokerFailure } from './failures.js';
import type { AmqpPlace } from './place.js';

/** One connection carries the channels of many endpoints; a broker that allows too few has more of them, up to so many. */
const connectionsMax = 64;
/** RabbitMQ's own default. */
const channelsMax = 2_047;
const heartbeatS = 10;
const silenceMs = 10_000;
const farewellMs = 500;
/** Handed to the system at once. */
const writeBytesMax = 1_048_576;

/**
 * A channel on the connection that all endpoints of this server, account and vhost share. Connections are opened as they are needed.
 *
 * @throws {DeliveryFailure}
 */
export async function openChannel(
  place: AmqpPlace,
  tools: EndpointTools,
  signal: AbortSignal,
): Promise<BrokerChannel> {
  const { scheme, host, port } = place.parts;
  const key = JSON.stringify([scheme, host, port, place.vhost, place.user, place.password]);
  for (let nth = 0; nth < connectionsMax; nth++) {
    const use = tools.connections.use(`${key}${nth}`, () => openConnection(place, tools.dialer));
    try {
      const model = await unlessAborted(use.connection, signal);
      if ('queue' in place.to && place.to.declare) {
        await unlessAborted(ensureQueue(model, place.to.queue), signal);
      }
      const opening = BrokerChannel.open(model, () => use.leave());
      return await unlessAborted(opening, signal, (channel) => void channel.close());
    } catch (error) {
      await use.leave();
      signal.throwIfAborted();
      if (!(error as Error).message.startsWith('No channels left')) throw brokerFailure(error);
    }
  }
  throw new DeliveryFailure('again', `all channels of ${connectionsMax} connections are taken`);
}

function openConnection(place: AmqpPlace, dialer: Dialer): SharedConnection<ChannelModel> {
  const ending = new AbortController();
  let open: ChannelModel | undefined;
  const connection = connect(place, dialer, ending.signal).then((model) => (open = model));
  const dropped = connection.then(
    (model) => new Promise<void>((resolve) => void model.once('close', () => resolve())),
    () => undefined,
  );
  return {
    connection,
    dropped,
    close: async () => {
      // One that is still being opened, or whose broker does not answer, is broken off.
      const late = once(AbortSignal.timeout(farewellMs), 'abort');
      await Promise.race([open?.close(), late]).catch(() => undefined);
      ending.abort();
    },
  };
}

async function connect(
  { parts, user, password, vhost }: AmqpPlace,
  dialer: Dialer,
  signal: AbortSignal,
): Promise<ChannelModel> {
  const { connect: open } = await import('amqplib');
  const { address } = await dialer.resolve(parts.host, signal);
  const to = {
    protocol: parts.scheme,
    hostname: address,
    port: parts.port,
    username: user,
    password,
    vhost: encodeURIComponent(vhost),
    heartbeat: heartbeatS,
    channelMax: channelsMax,
  };
  const socket = {
    signal,
    // Until the broker has let it in; then heartbeats watch over it.
    timeout: silenceMs,
    noDelay: true,
    // Room for a whole delivery, which then is one write: see BrokerChannel.
    writableHighWaterMark: writeBytesMax,
    clientProperties: { connection_name: 'waymark' },
    ...(isIP(parts.host) === 0 && { servername: parts.host }),
  };
  const model = await open(to, socket);
  // What went wrong is told by what was under way.
  model.on('error', () => undefined);
  return model;
}

/** One that is there stays as it is, whatever its kind: only what is missing is made. */
async function ensureQueue(model: ChannelModel, queue: string): Promise<void> {
  for (const make of [false, true]) {
    const channel = await model.createChannel();
    channel.on('error', () => undefined);
    try {
      if (make) await channel.assertQueue(queue, { durable: true });
      else await channel.checkQueue(queue);
      await channel.close();
      return;
    } catch (error) {
      // A channel ends with the first question that it answers with an error.
      if (make || (error as { code?: unknown }).code !== 404) throw error;
    }
  }
}
