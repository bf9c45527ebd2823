import { Type } from 'typebox';

const revision = Type.Integer({ minimum: 0 });
const at = Type.Number({ description: 'Unix time in ms' });
const texts = Type.Array(Type.String());
const labels = Type.Record(Type.String(), Type.String());
const retry = Type.Union([
  Type.Enum(['default', 'standard', 'forever']),
  Type.Array(Type.Number(), { description: 'the waits between tries, ms' }),
]);
const end = Type.Enum(['deregister', 'disable', 'keep']);
const format = Type.Enum(['structured', 'binary']);
const lifetime = Type.Union([Type.String(), Type.Number()], {
  description: 'ISO 8601 as P7D or PT1H30M, or seconds',
});
const after = Type.Union([Type.Literal('beginning'), revision]);
const closed = { additionalProperties: false } as const;
const mode = Type.Union([
  Type.Object({ by: Type.Literal('endpoint') }, closed),
  Type.Object({ by: Type.Literal('kind') }, closed),
  Type.Object(
    { by: Type.Literal('pattern'), perPattern: Type.Optional(Type.Integer({ minimum: 1 })) },
    closed,
  ),
  Type.Object({ by: Type.Literal('fixed'), shares: Type.Integer({ minimum: 1 }) }, closed),
]);

const changeable = {
  owner: Type.Optional(Type.String()),
  labels: Type.Optional(labels),
  retry: Type.Optional(retry),
  end: Type.Optional(end),
  batch: Type.Optional(Type.Integer({ description: 'most events in one delivery; 1 to 1 000' })),
  format: Type.Optional(format),
  secret: Type.Optional(Type.String({ description: 'signs deliveries; never shown again' })),
  timeoutMs: Type.Optional(Type.Integer({ description: 'of one try; 100 to 120 000' })),
};

/** What callers send. */
export const watcherInputs = {
  wish: Type.Object(
    {
      namespace: Type.Optional(Type.String({ description: 'default: default' })),
      pattern: Type.String({ description: 'a glob as of Redis over whole paths' }),
      endpoint: Type.String({ description: 'a URI, whose scheme picks the kind' }),
      lifetime: Type.Optional(lifetime),
      from: Type.Optional(Type.Union([Type.Literal('now'), after])),
      ...changeable,
    },
    closed,
  ),
  change: Type.Object(
    { lifetime: Type.Optional(Type.Union([lifetime, Type.Null()])), ...changeable },
    closed,
  ),
  list: Type.Object({
    namespace: Type.Optional(Type.String()),
    label: Type.Optional(Type.String({ description: 'NAME or NAME=VALUE' })),
    endpoint: Type.Optional(
      Type.String({
        description: 'its password does not matter; or the id of a watcher: those of its endpoint',
      }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    after: Type.Optional(Type.String({ description: 'go on after this id' })),
  }),
  label: Type.Object({ label: Type.String({ description: 'NAME or NAME=VALUE' }) }),
  events: Type.Object({
    after: Type.Optional(Type.String({ description: 'as Last-Event-ID; default: from now on' })),
  }),
  replay: Type.Object({ after }, closed),
  letters: Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    after: Type.Optional(Type.String({ description: 'go on after this id' })),
  }),
  mode,
} as const;

const delivery = Type.Object({
  cursor: Type.Integer({ description: 'all up to this revision was accepted' }),
  lagRevisions: revision,
  lagSeconds: Type.Number(),
  attempts: Type.Integer({ minimum: 0 }),
  lastError: Type.Union([Type.String(), Type.Null()]),
  nextTryAt: Type.Union([at, Type.Null()]),
  delivered: Type.Union([Type.Integer(), Type.Null()], {
    description:
      'events accepted so far; null, as the next two, for one who may not see all watchers of the endpoint',
  }),
  perSecond: Type.Union([Type.Number(), Type.Null()], { description: 'over the last minute' }),
  deadLetters: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  processor: Type.Union([Type.String(), Type.Null()], { description: 'who delivers' }),
});

const watcher = Type.Object({
  id: Type.String(),
  namespace: Type.String(),
  pattern: Type.String(),
  endpoint: Type.String({ description: 'without secrets' }),
  kind: Type.String(),
  state: Type.Enum(['active', 'paused', 'disabled']),
  registeredAt: at,
  expiresAt: Type.Union([at, Type.Null()]),
  owner: Type.String(),
  labels,
  retry,
  end,
  batch: Type.Integer(),
  format,
  signed: Type.Boolean(),
  timeoutMs: Type.Integer(),
  delivery,
});

const added = Type.Object({
  watcher,
  created: Type.Boolean({ description: 'false: the same was registered before' }),
  covers: texts,
  coveredBy: texts,
});

const letter = Type.Object({
  id: Type.String(),
  at,
  attempts: Type.Integer(),
  error: Type.String(),
  namespace: Type.String(),
  path: Type.String(),
  kind: Type.String(),
  revision,
  watchers: texts,
  value: Type.Optional(Type.String({ description: 'what was put, in base64' })),
});

const processor = Type.Object({
  id: Type.String(),
  owner: Type.String(),
  since: at,
  endpoints: Type.Integer({ minimum: 0 }),
});

/** What routes answer. */
export const watcherAnswers = {
  added: { 200: added, 201: added },
  watcher: { 200: watcher },
  page: { 200: Type.Object({ watchers: Type.Array(watcher), more: Type.Boolean() }) },
  removed: { 200: Type.Object({ removed: Type.Boolean() }) },
  count: { 200: Type.Object({ count: Type.Integer({ minimum: 0 }) }) },
  tested: {
    200: Type.Object({
      accepted: Type.Boolean(),
      tookMs: Type.Number(),
      error: Type.Union([Type.String(), Type.Null()]),
    }),
  },
  letters: { 200: Type.Object({ letters: Type.Array(letter), more: Type.Boolean() }) },
  processors: { 200: Type.Object({ processors: Type.Array(processor) }) },
  mode: { 200: mode },
  keys: {
    200: Type.Object({
      newest: Type.Union([Type.String(), Type.Null()]),
      keys: Type.Array(
        Type.Object({
          id: Type.String(),
          endpoints: Type.Integer({ minimum: 0 }),
          here: Type.Boolean(),
        }),
      ),
      clear: Type.Integer({ minimum: 0 }),
    }),
  },
  events: {
    200: {
      description: 'server-sent events, their ids to go on from',
      content: { 'text/event-stream': { schema: { type: 'string' } } },
    },
  },
} as const;
