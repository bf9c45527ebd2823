import { WaymarkError } from 'waymark/engine';
import {
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type EndpointSettings,
  type EndpointTools,
  type Target,
} from '../endpoint.js';
import { checkInstalled } from '../kit/installed.js';
import type { Use } from '../kit/shared-connections.js';
import { targetOf } from '../kit/target.js';
import { TrySignal } from '../kit/try-signal.js';
import { unlessAborted } from '../kit/unless-aborted.js';
import { evaluate, type RedisConnection, useConnection } from './connection.js';
import { redisFailure, refusalOf } from './failures.js';
import { readRedisUri, type RedisPlace } from './place.js';
import { publishCommand, script, scriptArguments, scriptHash as hash } from './script.js';

/** Streams, lists, channels and keys of one Redis server. docs/endpoints/redis.md tells what arrives. */
export const redisKind: EndpointKind = {
  name: 'redis',
  schemes: ['redis', 'rediss'],
  eventsMax: 1_000,
  bytesMax: 16_777_216,
  parse(uri, settings) {
    const { parts, normal, to } = readRedisUri(uri);
    if (settings.secrets.length > 0) {
      throw new WaymarkError('invalid', 'deliveries to Redis are not signed: leave the secret out');
    }
    if (settings.format === 'binary' && (to.type === 'list' || to.type === 'channel')) {
      throw new WaymarkError('invalid', `a ${to.type} takes documents alone: format structured`);
    }
    return targetOf(parts, { normal, fences: to.type !== 'channel' });
  },
  open(target, settings, tools) {
    checkInstalled('redis', ['@redis/client']);
    return new RedisEndpoint(target, settings, tools);
  },
};

class RedisEndpoint implements Endpoint {
  readonly #place: RedisPlace;
  readonly #format: EndpointSettings['format'];
  readonly #tools: EndpointTools;
  readonly #tries = new TrySignal();
  #use: Use<RedisConnection> | null = null;

  constructor(target: Target, { format }: EndpointSettings, tools: EndpointTools) {
    this.#place = readRedisUri(target.uri);
    this.#format = format;
    this.#tools = tools;
  }

  deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    return this.#tries.under(until, (signal) => this.#deliver(delivery, until, signal));
  }

  async #deliver(delivery: Delivery, until: AbortSignal, signal: AbortSignal): Promise<void> {
    let connection: RedisConnection | undefined;
    try {
      connection = await this.#connected(signal);
      signal.throwIfAborted();
      await this.#tries.unlessEnded(this.#bring(connection, delivery));
    } catch (error) {
      // What has not answered in time may never answer: the next delivery has a new one, whoever's it is.
      const answered = error instanceof DeliveryFailure || refusalOf(error) !== null;
      if (until.aborted || !(signal.aborted || answered)) connection?.retire();
      if (connection?.usable !== true) await this.#leave();
      throw signal.aborted ? (signal.reason as Error) : redisFailure(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was given up'));
    await this.#leave();
  }

  async #connected(signal: AbortSignal): Promise<RedisConnection> {
    const known = await this.#use?.connection;
    if (known?.usable === true) return known;
    await this.#leave();
    this.#use = useConnection(this.#place, this.#tools);
    return await unlessAborted(this.#use.connection, signal);
  }

  async #leave(): Promise<void> {
    const use = this.#use;
    this.#use = null;
    await use?.leave();
  }

  async #bring(connection: RedisConnection, delivery: Delivery): Promise<void> {
    const { to } = this.#place;
    if (to.type === 'channel') {
      const sent = delivery.events.map((event) =>
        connection.command(publishCommand(to.name, delivery, event)),
      );
      await Promise.all(sent);
      return;
    }
    const words = scriptArguments(this.#place, this.#format, delivery);
    if ((await evaluate(connection, { script, hash }, words)) !== 'superseded') return;
    throw new DeliveryFailure('superseded', 'Redis has seen a higher fence');
  }
}
