import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient } from '@redis/client';
import { connect } from 'amqplib';
import { Pool } from 'undici';

export type SinkKind = 'http' | 'redis' | 'amqp';

export interface Sink {
  readonly kind: SinkKind;
  /** Of the broker, `host:port`; HTTP has none: who receives listens. */
  readonly address: string;
  /** Of the stream, the queue, or the path. */
  readonly name: string;
}

/** Takes documents of CloudEvents in JSON until the process ends. @returns the URI that a watcher is registered with */
export async function receive(sink: Sink, take: (json: string) => void): Promise<string> {
  return await receivers[sink.kind](sink, take);
}

/** Brings some documents, and is done when all of them were accepted: what somebody writes who has only the client library. */
export type Send = (documents: readonly string[]) => Promise<unknown>;

export async function sender(kind: SinkKind, uri: string): Promise<Send> {
  return await senders[kind](new URL(uri));
}

type Receiver = (sink: Sink, take: (json: string) => void) => Promise<string>;

const receivers: Readonly<Record<SinkKind, Receiver>> = {
  http: async ({ name }, take) => {
    const server = createServer((request, response) => {
      void textOf(request).then((text) => {
        take(text);
        response.writeHead(204).end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`;
  },
  redis: async ({ address, name }, take) => {
    const uri = `redis://${address}/0?stream=${name}`;
    const client = await redisOf(new URL(uri));
    let last = '0';
    const read = async (): Promise<void> => {
      for (;;) {
        const asked = ['XREAD', 'COUNT', '1000', 'BLOCK', '0', 'STREAMS', name, last];
        const [stream] = (await client.sendCommand(asked)) as unknown as RedisStream[];
        for (const [id, [, json]] of stream?.[1] ?? []) {
          last = id;
          take(json);
        }
        await client.sendCommand(['XTRIM', name, 'MINID', last]);
      }
    };
    void read();
    return uri;
  },
  amqp: async ({ address, name }, take) => {
    const uri = `amqp://${address}?queue=${name}`;
    const channel = await (await connect(`amqp://${address}`)).createChannel();
    await channel.assertQueue(name, { durable: true });
    await channel.consume(name, (message) => take(message?.content.toString() ?? ''), {
      noAck: true,
    });
    return uri;
  },
};

const documentType = 'application/cloudevents+json; charset=utf-8';
const batchType = 'application/cloudevents-batch+json; charset=utf-8';

const senders: Readonly<Record<SinkKind, (uri: URL) => Promise<Send>>> = {
  http: async (uri) => {
    const pool = new Pool(uri.origin, { pipelining: 1 });
    return async (documents) => {
      const alone = documents.length === 1;
      const { statusCode, body } = await pool.request({
        method: 'POST',
        path: uri.pathname,
        headers: { 'content-type': alone ? documentType : batchType },
        body: alone ? (documents[0] as string) : `[${documents.join(',')}]`,
      });
      await body.dump();
      if (statusCode !== 204) throw new Error(`answered ${statusCode}`);
    };
  },
  redis: async (uri) => {
    const client = await redisOf(uri);
    const stream = uri.searchParams.get('stream') as string;
    return (documents) =>
      Promise.all(documents.map((event) => client.xAdd(stream, '*', { event })));
  },
  amqp: async (uri) => {
    const channel = await (
      await connect(`amqp://${uri.username}:${uri.password}@${uri.host}`)
    ).createConfirmChannel();
    const queue = uri.searchParams.get('queue') as string;
    const options = { contentType: documentType, persistent: true, mandatory: true };
    return (documents) => {
      for (const json of documents) channel.publish('', queue, Buffer.from(json), options);
      return channel.waitForConfirms();
    };
  },
};

type RedisStream = [name: string, entries: [id: string, fields: [string, string]][]];

async function redisOf({ hostname: host, port }: URL) {
  const client = createClient({ socket: { host, port: Number(port) }, RESP: 2 });
  return await client.connect();
}

async function textOf(request: IncomingMessage): Promise<string> {
  request.setEncoding('utf8');
  let text = '';
  for await (const chunk of request) text += chunk as string;
  return text;
}
