import { Type } from 'typebox';

const count = Type.Integer({ minimum: 0 });

export const readyChecks = Type.Array(
  Type.Object({
    name: Type.Enum(['serving', 'engine', 'writable', 'cluster', 'stash', 'watchers']),
    ok: Type.Boolean(),
    reason: Type.Optional(Type.String({ description: 'why not' })),
  }),
);

const spread = Type.Object(
  {
    count,
    sumMs: Type.Number(),
    boundsMs: Type.Array(Type.Number()),
    counts: Type.Array(count),
  },
  { description: 'how many took up to each bound and longer than the one before' },
);

const orNull = <T extends ReturnType<typeof Type.Object>>(
  object: T,
): ReturnType<typeof Type.Union> => Type.Union([object, Type.Null()]);

/** What `GET /v1/status` answers: observe/server-status.ts says what each means. */
export const serverStatus = Type.Object({
  version: Type.String(),
  uptimeMs: count,
  safety: Type.String({ description: 'what an acknowledged write survives' }),
  ready: Type.Object({ ok: Type.Boolean(), checks: readyChecks }),
  engine: orNull(
    Type.Object({
      engine: Type.String(),
      identity: Type.String(),
      revision: count,
      compacted: count,
      keys: count,
      leases: count,
      bytes: count,
    }),
  ),
  connections: Type.Object({ all: count, binary: count, etcd: count, streams: count }),
  cluster: orNull(
    Type.Object({
      name: Type.String(),
      state: Type.String(),
      why: Type.Union([Type.String(), Type.Null()]),
      members: Type.Array(Type.Object({}, { additionalProperties: true })),
    }),
  ),
  watchers: orNull(Type.Object({ endpoints: count, waitingBytes: count, lagRevisions: count })),
  stash: orNull(
    Type.Object({ state: Type.String(), writable: Type.Boolean(), records: count, bytes: count }),
  ),
  load: Type.Object({
    commits: spread,
    reads: spread,
    lockWaits: spread,
    watches: count,
    lockWaiters: count,
    namespaces: Type.Array(
      Type.Object({ name: Type.String(), reads: count, writes: count, calls: count }),
    ),
  }),
});
