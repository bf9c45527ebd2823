import { setImmediate } from 'node:timers/promises';
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
import { readUri, type UriRules } from '../kit/uri.js';
import { type Answer, Exchange } from './exchange.js';
import { refusalOf } from './refusals.js';
import { type HttpPool, openPool } from './pool.js';
import { type HttpRequest, requestsOf } from './requests.js';
import { type Signer, signerOf } from './signer.js';

const rules: UriRules = { ports: { http: 80, https: 443 } };

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
  #use: Use<HttpPool> | null = null;
  /** The last one. Where its answer never ends, it keeps one connection busy and no more. */
  #exchange: Exchange | null = null;
  #ended: DeliveryFailure | null = null;
  #may: () => boolean = () => true;

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

  async deliver(
    delivery: Delivery,
    until: AbortSignal,
    may: () => boolean = () => true,
  ): Promise<void> {
    this.#may = may;
    const abort = (): void => this.#exchange?.abort(endedBy(until));
    until.addEventListener('abort', abort, { once: true });
    try {
      this.#use ??= this.#connect();
      const pool = await this.#use.connection;
      for (const request of requestsOf(delivery, this.#format, this.#signer)) {
        await this.#send(pool, request, delivery.fence, until);
      }
    } finally {
      until.removeEventListener('abort', abort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = new DeliveryFailure('again', 'the endpoint was given up');
    this.#drop();
    const use = this.#use;
    this.#use = null;
    await use?.leave();
  }

  async #send(
    pool: HttpPool,
    request: HttpRequest,
    fence: number,
    until: AbortSignal,
  ): Promise<void> {
    // What is left of the last answer has a turn to come.
    if (this.#exchange?.over === false) await setImmediate();
    this.#drop();
    const { status, headers } = await this.#answered(pool, request, until);
    if (status < 200 || status >= 300) {
      throw refusalOf(status, headers, { fence, now: this.#tools.wallNow() });
    }
  }

  async #answered(pool: HttpPool, request: HttpRequest, until: AbortSignal): Promise<Answer> {
    const before = pool.connects();
    try {
      return await this.#ask(pool, request, until);
    } catch (error) {
      // A connection that was kept alive may have been closed just then: that tells nothing of the endpoint.
      const stale = broke(error) && pool.connects() === before;
      if (stale && !until.aborted) return await this.#ask(pool, request, until).catch(refused);
      return refused(error);
    }
  }

  #ask(pool: HttpPool, { headers, body }: HttpRequest, until: AbortSignal): Promise<Answer> {
    if (until.aborted) throw endedBy(until);
    if (this.#ended !== null) throw this.#ended;
    if (!this.#may()) throw new DeliveryFailure('superseded', 'the hold has ended');
    if (this.#account !== null) headers['authorization'] = this.#account;
    this.#exchange = new Exchange(pool, { method: 'POST', path: this.#path, headers, body });
    return this.#exchange.answer;
  }

  #drop(): void {
    if (this.#exchange?.over === false) {
      this.#exchange.abort(this.#ended ?? new DeliveryFailure('again', 'the answer never ended'));
    }
    this.#exchange = null;
  }
}

function refused(error: unknown): never {
  if (error instanceof DeliveryFailure) throw error;
  throw new DeliveryFailure('again', `no answer from the endpoint: ${codeOf(error)}`);
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
