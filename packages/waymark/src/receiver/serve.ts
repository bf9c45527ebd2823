import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WebhookHeaders } from './headers.js';
import { type ReceiverOptions, type Taken, Taker } from './receiver.js';

/** A receiver of webhooks, for whatever serves HTTP. */
export interface Receiver {
  /**
   * Takes one request. It never rejects.
   *
   * @param body  exactly as it came
   * @returns what to answer: 204 when all of it is done with, 400 for what is no event, 401 for a signature that does not fit, 409 for a fence that is too
   * low, 500 when handling failed, 503 when too many wait
   */
  take(headers: WebhookHeaders, body: Uint8Array | string): Promise<Taken>;
  /** Answers one request of node:http. Bodies over `bodyBytesMax` are answered 413. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** A plugin: `app.register(receiver.fastify, { path: '/hook' })`. */
  readonly fastify: (app: FastifyScope, options: { readonly path?: string }) => Promise<void>;
}

/** What the plugin needs of a fastify instance. */
export interface FastifyScope {
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    options: { readonly parseAs: 'buffer'; readonly bodyLimit: number },
    parser: (request: unknown, body: Buffer, done: (error: null, body: Buffer) => void) => void,
  ): unknown;
  post(
    path: string,
    handler: (request: FastifyAsk, reply: FastifyAnswer) => Promise<unknown>,
  ): unknown;
}

interface FastifyAsk {
  readonly headers: WebhookHeaders;
  readonly body: unknown;
}

interface FastifyAnswer {
  code(status: number): FastifyAnswer;
  headers(headers: Record<string, string>): FastifyAnswer;
  send(): unknown;
}

/** A value of 1 MiB whose every byte takes six in JSON, and what is told of it. */
const bodyBytesMaxDefault = 8 * 1_048_576;

/**
 * Makes a receiver of what a watcher sends to `http://` and `https://` endpoints.
 *
 * @throws {WaymarkError} `invalid` for secrets that are none
 */
export function createReceiver(
  options: ReceiverOptions & {
    /** The largest body that is read. Default 8 MiB. */
    readonly bodyBytesMax?: number | undefined;
  },
): Receiver {
  const taker = new Taker(options);
  const bodyBytesMax = options.bodyBytesMax ?? bodyBytesMaxDefault;
  return {
    take: (headers, body) => taker.take(headers, body),
    handle: async (request, response) => {
      const { status, headers } = await answerTo(request);
      // What is not read of the body leaves its connection of no use.
      const ended = request.readableEnded ? {} : { connection: 'close' };
      response.writeHead(status, { ...headers, ...ended }).end();
    },
    fastify: async (app, { path = '/' }) => {
      // Signatures are of the body as it came, whatever its type says.
      app.removeAllContentTypeParsers();
      const limits = { parseAs: 'buffer', bodyLimit: bodyBytesMax } as const;
      app.addContentTypeParser('*', limits, (_request, body, done) => done(null, body));
      app.post(path, async ({ headers, body }, reply) => {
        const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
        const taken = await taker.take(headers, bytes);
        return reply.code(taken.status).headers(taken.headers).send();
      });
    },
  };

  async function answerTo(request: IncomingMessage): Promise<Taken> {
    if (request.method !== 'POST') return { status: 405, headers: { allow: 'POST' } };
    const parts: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const part of request as AsyncIterable<Buffer>) {
        bytes += part.length;
        if (bytes > bodyBytesMax) return { status: 413, headers: {} };
        parts.push(part);
      }
    } catch {
      // The sender has left: nobody reads the answer.
      return { status: 400, headers: {} };
    }
    return await taker.take(request.headers, Buffer.concat(parts));
  }
}
