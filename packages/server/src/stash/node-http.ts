import { createServer, type Server, type ServerResponse } from 'node:http';
import { parseListen, WaymarkError } from 'waymark/engine';
import { Metrics } from '../metrics.js';
import { describeStash } from './figures.js';
import type { Flushed } from './group-commit.js';
import { type Readiness, readyNode } from './node-ready.js';
import type { StashNodeService } from './node-service.js';

/** Figures and probes of a node in a process of its own, over HTTP: `/metrics`, `/healthz`, `/readyz`. It tells nothing of the data, and asks for nothing. */
export class NodeHttp {
  /** To be told of flushes. */
  readonly flushed: Flushed;
  readonly #metrics = new Metrics();
  readonly #server: Server;
  #service: StashNodeService | null = null;

  constructor() {
    this.flushed = describeStash(this.#metrics, () => this.#service);
    this.#metrics.gauge('process_resident_memory_bytes', 'Resident memory of the process.', () =>
      process.memoryUsage.rss(),
    );
    this.#server = createServer((request, response) => {
      response.setHeader('x-content-type-options', 'nosniff');
      this.#answer(request.method ?? '', request.url ?? '', response).catch((error: unknown) => {
        response.destroy(error as Error);
      });
    });
    this.#server.requestTimeout = requestMsMax;
    this.#server.maxConnections = connectionsMax;
  }

  /** @param address  `:port` on all, or `host:port` @returns the port. @throws {WaymarkError} `taken`, `invalid` */
  async listen(address: string): Promise<number> {
    const { host, port } = parseListen(address);
    const server = this.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const code = cause.code === 'EADDRINUSE' ? 'taken' : 'invalid';
        const why = `cannot listen on ${address} for metrics: ${cause.message}`;
        reject(new WaymarkError(code, why, {}, cause));
      });
      server.listen({ host, port }, resolve);
    });
    return (server.address() as { readonly port: number }).port;
  }

  /** What it tells of from here on; null: of nothing. */
  set service(service: StashNodeService | null) {
    this.#service = service;
  }

  async close(): Promise<void> {
    this.#service = null;
    if (!this.#server.listening) return;
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  async #answer(method: string, url: string, response: ServerResponse): Promise<void> {
    const end = (status: number, text: string): void => {
      response.statusCode = status;
      response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
      response.end(method === 'HEAD' ? '' : text);
    };
    if (method !== 'GET' && method !== 'HEAD') return end(405, 'GET and HEAD alone\n');
    const [path] = url.split('?');
    if (path === '/metrics') return end(200, await this.#metrics.print());
    if (path === '/healthz') return end(200, 'ok\n');
    if (path !== '/readyz') return end(404, 'take /metrics, /healthz or /readyz\n');
    const service = this.#service;
    const { ok, reason } = service === null ? starting : readyNode(service);
    end(ok ? 200 : 503, `${reason}\n`);
  }
}

const starting: Readiness = { ok: false, reason: 'starting' };
const requestMsMax = 10_000;
const connectionsMax = 100;
