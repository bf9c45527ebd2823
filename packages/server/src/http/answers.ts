import { type TSchema, Type } from 'typebox';
import { errorTable } from 'waymark/engine';
import { toldLeaseId } from './lease-id.js';
import { readyChecks, serverStatus } from './status-schema.js';

/** What routes answer, for the OpenAPI document. Answers are not checked against it on their way: the tests do. */

const revision = Type.Integer({ minimum: 0 });
const base64 = Type.String({ description: 'the value, byte for byte' });
const lease = toldLeaseId('0: under no lease; beyond 2^53-1 as a string');
const mode = Type.Union([Type.Literal('exclusive'), Type.Literal('shared')]);

const facts = {
  path: Type.String(),
  revision,
  createRevision: revision,
  version: Type.Integer({ minimum: 1 }),
  lease,
};

const entry = Type.Object({
  ...facts,
  value: Type.Optional(Type.String({ description: 'the value as text, when it is UTF-8' })),
  base64: Type.Optional(base64),
});

export const party = Type.Object({
  owner: Type.String(),
  path: Type.String(),
  tree: Type.Boolean(),
  mode,
  since: revision,
  token: Type.Optional(revision),
  lease,
});

export const cycle = Type.Array(
  Type.Object({
    owner: Type.String(),
    recipe: Type.Enum(['lock', 'election', 'once', 'semaphore']),
    path: Type.String(),
  }),
  {
    description:
      'who wait for each other, each for what the next one holds; empty when all can go on',
  },
);

const hold = {
  path: Type.String(),
  tree: Type.Boolean(),
  mode,
  id: Type.String({ description: 'names the hold: release and convert take it' }),
  token: Type.Integer({ description: 'grows with every grant: pass it to what you protect' }),
};

const leader = Type.Object({
  owner: Type.String(),
  term: Type.Integer({ description: 'grows with every leader: pass it to what it touches' }),
  value: Type.Optional(Type.String({ description: 'the proclamation as text, when it is UTF-8' })),
  base64: Type.Optional(Type.String({ description: 'the proclamation, byte for byte' })),
  revision,
  lease,
});

const permitParty = Type.Object({
  owner: Type.String(),
  weight: Type.Integer({ minimum: 1 }),
  since: revision,
  token: Type.Optional(revision),
  lease,
});

const status = {
  engine: Type.String(),
  identity: Type.String(),
  revision,
  compacted: revision,
  keys: Type.Integer(),
  leases: Type.Integer(),
  bytes: Type.Integer(),
};

const grantedLease = { id: toldLeaseId(), ttlMs: Type.Number() };

const page = (of: TSchema): TSchema =>
  Type.Object({ entries: Type.Array(of), more: Type.Boolean(), revision });

const event = Type.Object(
  {
    kind: Type.Enum(['put', 'delete', 'expire', 'lock', 'unlock', 'resync']),
    path: Type.String(),
    revision,
  },
  { additionalProperties: true, description: 'and what its kind tells' },
);

const events = Type.Object({
  revision,
  id: Type.String({ description: 'resume after it' }),
  events: Type.Array(event),
});

const result = Type.Union([
  Type.Object({ type: Type.Literal('put') }),
  Type.Object({ type: Type.Literal('delete'), deleted: Type.Integer() }),
  Type.Object({ type: Type.Literal('get'), entry: Type.Union([entry, Type.Null()]) }),
]);

const binary = { schema: { type: 'string', format: 'binary' } };

/** Response schemas by status, for a route's `schema.response`. */
export const answers = {
  key: {
    200: {
      description: 'the value; or, with `tree`, a page of entries; or, with `wait`, the changes',
      content: {
        'application/octet-stream': binary,
        'text/plain': binary,
        'application/json': { schema: Type.Union([page(entry), events, Type.Unknown()]) },
      },
    },
    304: { description: 'If-None-Match has it already', type: 'null' },
  },
  written: { 200: Type.Object({ revision }) },
  deleted: { 200: Type.Object({ deleted: Type.Integer(), revision }) },
  names: { 200: page(Type.String()) },
  entry: { 200: entry },
  namespaces: { 200: Type.Object({ namespaces: Type.Array(Type.String()) }) },
  nothing: { 204: { description: 'done', type: 'null' } },
  dump: {
    200: Type.Object({
      waymark: Type.Literal(1),
      namespace: Type.String(),
      revision,
      // One of the two: `key` where it is no path.
      entries: Type.Array(
        Type.Object({
          path: Type.Optional(Type.String()),
          key: Type.Optional(base64),
          value: base64,
        }),
      ),
    }),
  },
  pruned: { 200: Type.Object({ pruned: Type.Array(Type.String()) }) },
  txn: { 200: Type.Object({ succeeded: Type.Boolean(), revision, results: Type.Array(result) }) },
  leaseGranted: { 201: Type.Object(grantedLease) },
  leaseRenewed: { 200: Type.Object(grantedLease) },
  lease: {
    200: Type.Object({
      ...grantedLease,
      remainingMs: Type.Number(),
      keys: Type.Array(Type.String()),
    }),
  },
  explanation: {
    200: Type.Object({
      path: Type.String(),
      revision,
      holders: Type.Array(party),
      waiters: Type.Array(party),
      cycle,
      summary: Type.String(),
    }),
  },
  lock: {
    200: Type.Object({ ...hold, lease, ttlMs: Type.Optional(Type.Number()) }),
  },
  election: {
    200: Type.Object({
      path: Type.String(),
      revision,
      leader: Type.Union([leader, Type.Null()]),
      candidates: Type.Array(Type.Object({ owner: Type.String(), since: revision, lease })),
      cycle,
      summary: Type.String(),
    }),
  },
  term: {
    200: Type.Object({
      path: Type.String(),
      id: Type.String({ description: 'names the term: proclaim and resign take it' }),
      term: leader.properties.term,
      lease,
      ttlMs: Type.Optional(Type.Number()),
    }),
  },
  permit: {
    200: Type.Object({
      path: Type.String(),
      weight: Type.Integer({ minimum: 1 }),
      id: hold.id,
      token: hold.token,
      lease,
      ttlMs: Type.Optional(Type.Number()),
    }),
  },
  semaphore: {
    200: Type.Object({
      path: Type.String(),
      revision,
      limit: Type.Integer({ minimum: 1 }),
      used: Type.Integer({ description: 'after a resize it may be more than the limit' }),
      holding: Type.Integer({ minimum: 0 }),
      waiting: Type.Integer({ minimum: 0 }),
      holders: Type.Array(permitParty, { description: 'the first 1 000' }),
      waiters: Type.Array(permitParty, { description: 'the first 1 000' }),
      cycle,
      summary: Type.String(),
    }),
  },
  resized: { 200: Type.Object({ limit: Type.Integer({ minimum: 1 }), revision }) },
  released: { 200: Type.Object({ released: Type.Boolean() }) },
  removed: { 200: Type.Object({ removed: Type.Boolean() }) },
  converted: { 200: Type.Object(hold) },
  ended: { 200: Type.Object({ ended: Type.Integer() }) },
  events: {
    200: {
      description: 'server-sent events; over an upgraded connection, WebSocket messages',
      content: { 'text/event-stream': { schema: { type: 'string' } } },
    },
  },
  lines: {
    200: {
      description: 'one JSON document a line; whole when the last has `end`',
      content: { 'application/x-ndjson': { schema: { type: 'string' } } },
    },
  },
  text: { 200: { description: 'text', content: { 'text/plain': { schema: { type: 'string' } } } } },
  document: { 200: Type.Object({}, { additionalProperties: true, description: 'OpenAPI 3.1' }) },
  healthy: { 200: Type.Object({ ok: Type.Literal(true) }) },
  ready: { 200: Type.Object({ ok: Type.Literal(true), checks: readyChecks, ...status }) },
  serverStatus: { 200: serverStatus },
} as const;

/** Every error, RFC 9457: docs/reference/errors.md has what to do for each code. */
export const problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.Enum(Object.keys(errorTable)),
  },
  { $id: 'problem', additionalProperties: true, description: 'and the facts of its code' },
);

export const problemAnswer = {
  default: {
    description: 'what went wrong',
    content: { 'application/problem+json': { schema: { $ref: 'problem#' } } },
  },
};
