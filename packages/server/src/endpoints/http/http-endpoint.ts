import { setImmediate } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import {
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type EndpointSettings,
  type EndpointTools,
  type Target,
} from '../endpoint.js';
import type { Use } from '../kit/shared-connections.js';
import { targetOf } from '../kit/target.js';
import { TrySignal } from '../kit/try-signal.js';
import { readUri, type UriRules } from '../kit/uri.js';
import { refusalOf } from './refusals.js';
import { type HttpPool, openPool } from './pool.js';
import { type HttpRequest, requestsOf } from './requests.js';
import { type Signer, signerOf } from './signer.js';

const rules: UriRules = { ports: { http: 80, https: 443 } };
/** What an endpoint answers is read so far, so that its connection can be used again, and no further. */
const answerBytesMax = 16_384;

/** Webhooks: a POST to `http://` or `https://` for each delivery. docs/endpoints/http.md tells what arrives. */
export const httpKind: EndpointKind = {
  name: 'http',
  schemes: ['http', 'https'],
  eventsMax: 1_000,
  bytesMax: 1_048_576,
  parse: (uri, { secrets }) => {
    const parts = readUri(uri, rules);
    signerOf(secrets);
    return targetOf(parts, { fences: false });
  },
  open: (target, settings, tools) => new HttpEndpoint(target, settings, tools),
};

class HttpEndpoint implements Endpoint {
  readonly #path: string;
  readonly #account: string | null;
  readonly #format: EndpointSettings['format'];
  readonly #signer: Signer | null;
  readonly #connect: () => Use<HttpPool>;
  readonly #tools: EndpointTools;
  readonly #tries = new TrySignal();
  #use: Use<HttpPool> | null = null;
  /** What is left of the last answer. An endpoint that never ends it keeps one connection busy and no more. */
  #answer: Dispatcher.ResponseData['body'] | null = null;

  constructor(target: Target, settings: EndpointSettings, tools: EndpointTools) {
    const { scheme, user, password } = readUri(target.uri, rules);
    const { pathname, search } = new URL(target.uri);
    this.#path = `${pathname}${search}`;
    const account = Buffer.from(`${user}:${password}`);
    this.#account = account.length > 1 ? `Basic ${account.toString('base64')}` : null;
    this.#format = settings.format;
    this.#signer = signerOf(settings.secrets);
    this.#tools = tools;
    const secure = scheme === 'https';
    const key = `${scheme} ${target.host} ${target.port}`;
    this.#connect = () => tools.connections.use(key, () => openPool(target, secure, tools));
  }

  async deliver(delivery: Delivery, until: AbortSignal): Promise<void> {
    if (until.aborted) throw endedBy(until);
    await this.#tries.under(until, async (signal) => {
      this.#use ??= this.#connect();
      const pool = await this.#use.connection;
      for (const request of requestsOf(delivery, this.#format, this.#signer)) {
        await this.#send(pool, request, delivery.fence, signal);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#tries.end(new DeliveryFailure('again', 'the endpoint was given up'));
    this.#drop();
    const use = this.#use;
    this.#use = null;
    await use?.leave();
  }

  async #send(
    pool: HttpPool,
    request: HttpRequest,
    fence: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.#drop();
    const { statusCode, headers, body } = await this.#answered(pool, request, signal);
    this.#answer = body;
    void body.dump({ limit: answerBytesMax }).catch(() => undefined);
    // Most answers have come whole, and undici gives their connection to the next request after one turn.
    await setImmediate();
    if (statusCode < 200 || statusCode >= 300) {
      throw refusalOf(statusCode, headers, { fence, now: this.#tools.wallNow() });
    }
  }

  async #answered(
    pool: HttpPool,
    { headers, body }: HttpRequest,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    if (this.#account !== null) headers['authorization'] = this.#account;
    const ask = (): Promise<Dispatcher.ResponseData> =>
      pool.pool.request({
        method: 'POST',
        path: this.#path,
        headers,
        body,
        signal,
      });
    const before = pool.connects();
    try {
      return await ask().catch((error: unknown) => {
        // A connection that was kept alive may have been closed just then: that tells nothing of the endpoint.
        if (signal.aborted || !broke(error) || pool.connects() !== before) throw error;
        return ask();
      });
    } catch (error) {
      if (signal.aborted) throw endedBy(signal);
      if (error instanceof DeliveryFailure) throw error;
      throw new DeliveryFailure('again', `no answer from the endpoint: ${codeOf(error)}`);
    }
  }

  #drop(): void {
    this.#answer?.destroy();
    this.#answer = null;
  }
}

/** Errors of connections hold addresses, and parts of answers: the code alone is told. */
function codeOf(error: unknown): string {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === 'string' ? code : String(name);
}

function broke(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error));
}

function endedBy(signal: AbortSignal): DeliveryFailure {
  const { reason } = signal;
  if (reason instanceof DeliveryFailure) return reason;
  return new DeliveryFailure('again', 'the try was ended before the endpoint answered');
}
