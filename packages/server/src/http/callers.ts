import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Space } from 'waymark';
import { type Clock, createSpace, type Host, type Random } from 'waymark/engine';
import type { Access } from '../access/access.js';
import { Caller } from '../access/caller.js';
import { CountedHost } from '../access/counted-host.js';
import { shownBy } from '../access/shown.js';
import { namespaceOf, rawPath } from './inputs.js';

export interface CallersParts {
  readonly access: Access;
  readonly host: Host;
  readonly clock: Clock;
  readonly random: Random;
}

/** What one request works with: the host and a space over it, as its caller may use them. */
export class CallerGround {
  readonly caller: Caller;
  readonly #parts: CallersParts;
  #host: Host | undefined;
  #space: Space | undefined;

  constructor(parts: CallersParts, caller: Caller) {
    this.#parts = parts;
    this.caller = caller;
  }

  get host(): Host {
    return (this.#host ??= new CountedHost(this.#parts.host, this.caller));
  }

  get space(): Space {
    const { clock, random } = this.#parts;
    return (this.#space ??= createSpace(this.host, { clock, random, owner: 'http' }));
  }
}

/**
 * The callers of HTTP. Routes are given one host and one space, which are those of whoever's request is under way: a route cannot reach what its
 * caller may not, and has to do nothing for it. While access is off all share one ground, and nothing is kept by request.
 */
export class Callers {
  readonly host: Host;
  readonly space: Space;
  readonly #parts: CallersParts;
  readonly #under = new AsyncLocalStorage<CallerGround>();
  readonly #nobody: CallerGround;
  /** Whether a request was ever anybody's. */
  #followed = false;

  constructor(parts: CallersParts) {
    this.#parts = parts;
    this.#nobody = new CallerGround(
      parts,
      new Caller(parts.access, {}, { face: 'http', from: '' }),
    );
    this.host = passedOn(() => this.current.host);
    const stash = passedOn(() => this.current.space.stash);
    const watchers = passedOn(() => this.current.space.watchers);
    this.space = passedOn(() => this.current.space, { stash, watchers });
  }

  /** Of the request under way. Outside of one, and while access is off, one who has shown nothing. */
  get current(): CallerGround {
    return this.#under.getStore() ?? this.#nobody;
  }

  groundOf(request: IncomingMessage, face = 'http'): CallerGround {
    const { from, ...shown } = shownBy(request);
    if (!this.#parts.access.on && shown.token === undefined && face === 'http') {
      return this.#nobody;
    }
    return new CallerGround(this.#parts, new Caller(this.#parts.access, shown, { face, from }));
  }

  /** Every request is somebody's, and what is not asked of the host is asked here. */
  guard(app: FastifyInstance): void {
    const grounds = new WeakMap<FastifyRequest, CallerGround>();
    app.addHook('onRequest', async (request) => {
      const ground = this.groundOf(request.raw);
      if (!openRoutes.has(request.routeOptions.url ?? '')) {
        const asked = { action: `${request.method} ${request.routeOptions.url ?? ''}` };
        ground.caller.authenticate(asked);
        demandHere(ground.caller, request);
      }
      if (ground === this.#nobody) return;
      grounds.set(request, ground);
      this.#followed = true;
    });
    app.addHook('preHandler', (request, _reply, done) => {
      const ground = grounds.get(request) ?? this.#nobody;
      try {
        // A body takes as long as its client likes.
        if (demandHere(ground.caller, request)) tellAct(ground.caller, request);
      } catch (error) {
        return done(error as Error);
      }
      // To follow requests costs each promise of this process something: it is not begun before there is somebody. From then on it is also done
      // where a request is nobody's: it may have its turn by what was somebody's.
      if (this.#followed) this.#under.run(ground, done);
      else done();
    });
  }
}

/** They tell nothing of what is kept. */
const openRoutes: ReadonlySet<string> = new Set([
  '/',
  '/healthz',
  '/readyz',
  '/openapi.json',
  '/console/:file',
  // Whoever joins shows a token of the cluster's own.
  '/v1/cluster/join',
]);
const rootRoutes = ['/v1/backup', '/v1/access'];

/** What no host is asked for. @returns whether it is root's */
function demandHere(caller: Caller, request: FastifyRequest): boolean {
  const { url = '' } = request.routeOptions;
  const action = `${request.method} ${url}`;
  if (url === '/metrics' || url === '/v1/status') caller.demandObserving(action);
  if (rootRoutes.some((root) => url === root || url.startsWith(`${root}/`))) {
    caller.demandRoot(action);
    return true;
  }
  // A cursor is of no path: whoever moves it decides what its reader is told.
  const { cursor } = request.query as { readonly cursor?: string };
  if (cursor !== undefined || url.startsWith('/v1/ns/:ns/cursors'))
    caller.demandPath(['watch'], namespaceOf(request), '/');
  return false;
}

function tellAct(caller: Caller, request: FastifyRequest): void {
  const { method, url } = request;
  const route = request.routeOptions.url ?? '';
  if (caller.controlled && (method !== 'GET' || route === '/v1/backup'))
    caller.tell({ action: `${method} ${route}`, path: rawPath(url) });
}

/** Does what the one there is at the time of each call does. */
function passedOn<T extends object>(current: () => T, fixed: Partial<T> = {}): T {
  return new Proxy({} as T, {
    get(_target, name) {
      if (name in fixed) return fixed[name as keyof T];
      const one = current();
      const value: unknown = one[name as keyof T];
      return typeof value === 'function' ? (value.bind(one) as unknown) : value;
    },
  });
}
