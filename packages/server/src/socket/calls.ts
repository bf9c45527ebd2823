import {
  type CallOptions,
  type Engine,
  type Host,
  type Reading,
  type RecipeCall,
  recipeCalls,
} from 'waymark/engine';
import {
  type CallTable,
  engineMethods as raw,
  hostMethods as guarded,
  type HostReadArgs,
  type Method,
  recipeMethod,
  serve,
  type ServedCall,
  tableOf,
  withinAnswer,
} from 'waymark/wire';

/** What each verb does here, by its number. Verbs of a part that is not served are refused. */
export function callTable(host: Host | undefined, engine: Engine | undefined): CallTable {
  return tableOf([
    ...(engine === undefined
      ? allOf(raw).map((method) => serve.refused(method, 'the raw engine needs the engine right'))
      : engineCalls(engine)),
    ...(host === undefined
      ? [...allOf(guarded), ...recipeCalls.map(methodOf)].map((method) =>
          serve.refused(method, 'this server serves no namespaces'),
        )
      : hostCalls(host)),
  ]);
}

function engineCalls(engine: Engine): ServedCall[] {
  return [
    serve.plain(raw.read, ({ query, stale }) =>
      withinAnswer(query, engine.read(query, stale ? { stale } : undefined)),
    ),
    serve.plain(raw.commit, ({ txn, alone }) => engine.commit(txn, alone ? { alone } : undefined)),
    serve.watch(raw.watch, ({ ranges, ...rest }, options) =>
      engine.watch(ranges, { ...rest, ...options }),
    ),
    serve.plain(raw.grant, ({ ttlMs, id }) =>
      engine.grant(ttlMs, id === undefined ? undefined : { id }),
    ),
    serve.urgent(raw.renew, (id) => engine.renew(id)),
    serve.urgent(raw.revoke, (id) => engine.revoke(id)),
    serve.plain(raw.lease, (id) => engine.lease(id)),
    serve.plain(raw.leases, () => engine.leases()),
    serve.plain(raw.compact, (through) => engine.compact(through).then(nothing)),
    serve.urgent(raw.status, () => engine.status()),
  ];
}

function hostCalls(host: Host): ServedCall[] {
  const read = ({ namespace, query, stale }: HostReadArgs): Promise<Reading> =>
    host.read(namespace, query, stale ? { stale } : undefined);
  return [
    serve.plain(guarded.read, (args) => withinAnswer(args.query, read(args))),
    serve.plain(guarded.get, read),
    // What came is passed on as it is: this is the hottest call, and an object of its own for the options would be garbage.
    serve.plain(guarded.commit, (args) => host.commit(args.namespace, args.txn, args)),
    serve.watch(guarded.watch, ({ namespace, ranges, ...rest }, options) =>
      host.watch(namespace, ranges, { ...rest, ...options }),
    ),
    serve.claiming(
      'lease',
      serve.plain(guarded.grant, ({ ttlMs, id }) =>
        host.grant(ttlMs, id === undefined ? undefined : { id }),
      ),
    ),
    serve.urgent(guarded.renew, (id) => host.renew(id)),
    serve.claiming(
      'revoke',
      serve.urgent(guarded.revoke, (id) => host.revoke(id)),
    ),
    serve.plain(guarded.lease, (id) => host.lease(id)),
    serve.claiming(
      'lock',
      serve.waiting(
        guarded.acquire,
        ({ namespace, request }, options) => host.acquire(namespace, request, options),
        'left',
      ),
    ),
    serve.claiming(
      'unlock',
      serve.recipe(guarded.release, ({ namespace, hold }) => host.release(namespace, hold), true),
    ),
    serve.waiting(
      guarded.convert,
      ({ namespace, hold, to }, options) => host.convert(namespace, hold, to, options),
      'ends',
    ),
    serve.recipe(guarded.forceUnlock, ({ namespace, path, reason }) =>
      host.forceUnlock(namespace, path, reason),
    ),
    serve.recipe(guarded.explain, ({ namespace, request }) => host.explain(namespace, request)),
    serve.listen(guarded.watchHold, ({ namespace, hold }, answer) =>
      host.watchHold(namespace, hold, answer),
    ),
    serve.plain(guarded.namespaces, () => host.namespaces()),
    serve.waiting(guarded.removeNamespace, (name, options) =>
      host.removeNamespace(name, options).then(nothing),
    ),
    serve.waiting(guarded.prune, ({ namespace, path, olderThanMs }, options) =>
      host.prune(namespace, path, olderThanMs, options),
    ),
    serve.urgent(guarded.status, () => host.status()),
    ...recipeCalls.map((call) => recipeRun(host, call)),
  ];
}

function methodOf(call: RecipeCall<unknown, unknown>): Method<unknown, unknown> {
  return recipeMethod(call) as Method<unknown, unknown>;
}

function recipeRun(host: Host, call: RecipeCall<unknown, unknown>): ServedCall {
  const method = recipeMethod(call);
  const { waits, endsWithCaller, undo } = call;
  const whenGone = endsWithCaller === true ? 'ends' : undo === undefined ? 'goes on' : 'left';
  const run = (
    { namespace, args }: { readonly namespace: string; readonly args: unknown },
    options?: CallOptions,
  ): Promise<unknown> => host.run(call, namespace, args, options);
  return waits === true
    ? serve.waiting(method, run, whenGone)
    : serve.recipe(method, run, givesBack.test(call.name));
}

/** Recipes' calls that end what somebody has, or waits for: refused, they would leave others to wait for it. */
const givesBack = /\.(answer|release|give-up|resign|leave|step-back|unclaim|settle)$/;

function allOf(methods: object): Method<unknown, unknown>[] {
  return Object.values(methods) as Method<unknown, unknown>[];
}

function nothing(): undefined {
  return undefined;
}
