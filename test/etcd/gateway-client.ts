import { request as ask } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { GatewayCall } from './gateway-calls.js';

export interface GatewayAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Asks in JSON. Streams are read until `until` holds of what has come, and left. */
export interface GatewayClient extends Disposable {
  ask(call: GatewayCall, until?: (body: string) => boolean): Promise<GatewayAnswer>;
}

export function overHttp1(address: string): GatewayClient {
  const [host, port] = address.split(':');
  return {
    ask: ({ path, body, headers = {}, method = 'POST' }, until = () => false) =>
      new Promise((resolve, reject) => {
        const request = ask({ host, port, path, method, headers }, (response) => {
          let text = '';
          const answer = (): void =>
            resolve({
              status: response.statusCode ?? 0,
              type: response.headers['content-type'] ?? '',
              body: text,
            });
          response.on('data', (bytes: Buffer) => {
            text += bytes.toString();
            if (!until(text)) return;
            answer();
            request.destroy();
          });
          response.on('end', answer);
        });
        request.on('error', reject);
        request.end(body);
      }),
    [Symbol.dispose]() {},
  };
}

export function overHttp2(session: ClientHttp2Session): GatewayClient {
  return {
    ask: ({ path, body, headers = {}, method = 'POST' }, until = () => false) =>
      new Promise((resolve, reject) => {
        const stream = session.request(
          { ':path': path, ':method': method, ...headers },
          { endStream: false },
        );
        let [status, type, text] = [0, '', ''];
        stream.on('response', (fields) => {
          status = fields[':status'] ?? 0;
          type = fields['content-type'] ?? '';
        });
        stream.on('data', (bytes: Buffer) => {
          text += bytes.toString();
          if (until(text)) stream.close(8);
        });
        stream.on('close', () => resolve({ status, type, body: text }));
        stream.on('error', reject);
        stream.end(body);
      }),
    [Symbol.dispose]: () => void session.close(),
  };
}

export function overH2c(address: string): GatewayClient {
  return overHttp2(connect(`http://${address}`));
}
