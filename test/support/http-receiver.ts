import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';

export interface HeardRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly response: ServerResponse;
}

export interface HttpReceiver extends AsyncDisposable {
  readonly port: number;
  /** In order of arrival, once their bodies have come. */
  readonly heard: HeardRequest[];
  /** Answers the requests from now on. Default: 204. */
  answer: (request: HeardRequest) => void;
  /** The next request that has not been waited for. */
  next(): Promise<HeardRequest>;
}

/** A plain HTTP server on loopback that keeps what it hears. @param tls  PEM */
export async function startHttpReceiver(tls?: {
  readonly key: string;
  readonly cert: string;
}): Promise<HttpReceiver> {
  const heard: HeardRequest[] = [];
  const waiting: ((request: HeardRequest) => void)[] = [];
  let taken = 0;
  const server = tls === undefined ? createServer() : createSecureServer(tls);
  const receiver: Omit<HttpReceiver, typeof Symbol.asyncDispose> = {
    port: 0,
    heard,
    answer: ({ response }) => response.writeHead(204).end(),
    next: () =>
      new Promise((resolve) => {
        const known = heard[taken];
        taken += 1;
        if (known === undefined) waiting.push(resolve);
        else resolve(known);
      }),
  };
  server.on('request', (request, response) => {
    const { method = '', url = '', headers } = request;
    buffer(request).then(
      (body) => {
        const one = { method, url, headers, body, response };
        heard.push(one);
        waiting.shift()?.(one);
        receiver.answer(one);
      },
      // The sender left in the middle of it.
      () => undefined,
    );
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { readonly port: number };
  return Object.assign(receiver, {
    port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  });
}
