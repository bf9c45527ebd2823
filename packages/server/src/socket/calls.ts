import type { Batch, CallOptions, Engine } from 'waymark/engine';
import type { Host, RecipeCall } from 'waymark/engine';
import { recipeCalls, WaymarkError } from 'waymark/engine';
import {
  engineMethods as raw,
  hostMethods as guarded,
  type Method,
  recipeMethod,
} from 'waymark/wire';

/** A call answered once. */
export interface PlainCall {
  readonly kind: 'plain';
  readonly method: Method<unknown, unknown>;
  readonly run: (args: unknown, options?: CallOptions) => Promise<unknown>;
  /** Can wait for long: it gets a signal, and is left to wait when its client vanishes. */
  readonly waits: boolean;
  /** It is not left to wait then. */
  readonly endsWithCaller?: boolean | undefined;
  /** How many plain reads and writes it costs, about: see `Intake`. */
  readonly weight: number;
}

/** Recipes make several commits, or large ones. */
const recipeWeight = 8;

/** A watch: batches until it ends. */
export interface WatchCall {
  readonly kind: 'watch';
  readonly method: Method<unknown, unknown>;
  readonly open: (args: unknown, options: CallOptions) => AsyncIterable<Batch>;
}

/** Listens, and answers when there is something to tell. @returns stops listening */
export interface ListenCall {
  readonly kind: 'listen';
  readonly method: Method<unknown, unknown>;
  readonly listen: (args: unknown, answer: (result: unknown) => void) => () => void;
}

export type ServedCall = PlainCall | WatchCall | ListenCall;

/** What each verb does here, by its number. Verbs of a part that is not served are refused. */
export function callTable(
  host: Host | undefined,
  engine: Engine | undefined,
): (ServedCall | undefined)[] {
  const table: (ServedCall | undefined)[] = [];
  const add = (call: ServedCall): void => {
    table[call.method.verb] = call;
  };
  for (const method of allOf(raw)) add(refused(method, 'the raw engine needs the engine right'));
  const namespaced = [...allOf(guarded), ...recipeCalls.map(methodOf)];
  for (const method of namespaced) add(refused(method, 'this server serves no namespaces'));
  if (engine !== undefined) for (const call of engineCalls(engine)) add(call);
  if (host !== undefined) for (const call of hostCalls(host)) add(call);
  return table;
}

function engineCalls(engine: Engine): ServedCall[] {
  return [
    plain(raw.read, ({ query, stale }) => engine.read(query, stale ? { stale } : undefined)),
    plain(raw.commit, ({ txn, alone }) => engine.commit(txn, alone ? { alone } : undefined)),
    watch(raw.watch, ({ ranges, ...rest }, options) =>
      engine.watch(ranges, { ...rest, ...options }),
    ),
    plain(raw.grant, ({ ttlMs, id }) => engine.grant(ttlMs, id === undefined ? undefined : { id })),
    plain(raw.renew, (id) => engine.renew(id)),
    plain(raw.revoke, (id) => engine.revoke(id)),
    plain(raw.lease, (id) => engine.lease(id)),
    plain(raw.leases, () => engine.leases()),
    plain(raw.compact, (through) => engine.compact(through).then(nothing)),
    plain(raw.status, () => engine.status()),
  ];
}

function hostCalls(host: Host): ServedCall[] {
  return [
    plain(guarded.read, ({ namespace, query, stale }) =>
      host.read(namespace, query, stale ? { stale } : undefined),
    ),
    // What came is passed on as it is: this is the hottest call, and an object of its own for the options would be garbage.
    plain(guarded.commit, (args) => host.commit(args.namespace, args.txn, args)),
    watch(guarded.watch, ({ namespace, ranges, ...rest }, options) =>
      host.watch(namespace, ranges, { ...rest, ...options }),
    ),
    plain(guarded.grant, ({ ttlMs, id }) =>
      host.grant(ttlMs, id === undefined ? undefined : { id }),
    ),
    plain(guarded.renew, (id) => host.renew(id)),
    plain(guarded.revoke, (id) => host.revoke(id)),
    plain(guarded.lease, (id) => host.lease(id)),
    waiting(guarded.acquire, ({ namespace, request }, options) =>
      host.acquire(namespace, request, options),
    ),
    recipe(guarded.release, ({ namespace, hold }) => host.release(namespace, hold)),
    waiting(guarded.convert, ({ namespace, hold, to }, options) =>
      host.convert(namespace, hold, to, options),
    ),
    recipe(guarded.forceUnlock, ({ namespace, path, reason }) =>
      host.forceUnlock(namespace, path, reason),
    ),
    recipe(guarded.explain, ({ namespace, request }) => host.explain(namespace, request)),
    listen(guarded.watchHold, ({ namespace, hold }, answer) =>
      host.watchHold(namespace, hold, answer),
    ),
    plain(guarded.namespaces, () => host.namespaces()),
    waiting(guarded.removeNamespace, (name, options) =>
      host.removeNamespace(name, options).then(nothing),
    ),
    waiting(guarded.prune, ({ namespace, path, olderThanMs }, options) =>
      host.prune(namespace, path, olderThanMs, options),
    ),
    plain(guarded.status, () => host.status()),
    ...recipeCalls.map((call) => recipeRun(host, call)),
  ];
}

function methodOf(call: RecipeCall<unknown, unknown>): Method<unknown, unknown> {
  return recipeMethod(call) as Method<unknown, unknown>;
}

function recipeRun(host: Host, call: RecipeCall<unknown, unknown>): ServedCall {
  const method = recipeMethod(call);
  const { waits, endsWithCaller } = call;
  if (waits !== true)
    return recipe(method, ({ namespace, args }) => host.run(call, namespace, args));
  return waiting(
    method,
    ({ namespace, args }, options) => host.run(call, namespace, args, options),
    endsWithCaller,
  );
}

function plain<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
): ServedCall {
  return { kind: 'plain', method, run, waits: false, weight: 1 } as unknown as PlainCall;
}

function recipe<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
): ServedCall {
  return { kind: 'plain', method, run, waits: false, weight: recipeWeight } as unknown as PlainCall;
}

function waiting<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
  endsWithCaller = false,
): ServedCall {
  const call = { kind: 'plain', method, run, waits: true, endsWithCaller, weight: recipeWeight };
  return call as unknown as PlainCall;
}

function watch<A, R>(
  method: Method<A, R>,
  open: (args: A, options: CallOptions) => AsyncIterable<Batch>,
): ServedCall {
  return { kind: 'watch', method, open } as unknown as WatchCall;
}

function listen<A, R>(
  method: Method<A, R>,
  start: (args: A, answer: (result: R) => void) => () => void,
): ServedCall {
  return { kind: 'listen', method, listen: start } as unknown as ListenCall;
}

function allOf(methods: object): Method<unknown, unknown>[] {
  return Object.values(methods) as Method<unknown, unknown>[];
}

function refused(method: Method<unknown, unknown>, why: string): ServedCall {
  return plain(method, () => Promise.reject(new WaymarkError('denied', `${method.name}: ${why}`)));
}

function nothing(): undefined {
  return undefined;
}
