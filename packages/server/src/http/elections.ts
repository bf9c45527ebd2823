import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { codecs, type Election, type Leader, WaymarkError } from 'waymark';
import { electionCalls, type LeaseId } from 'waymark/engine';
import { answers } from './answers.js';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { utf8 } from './keys.js';
import { leaseId } from './lease-id.js';
import { type AskedLease, endLease, type HoldParts, underLease } from './request-lease.js';
import { streamWatch } from './sse.js';
import type { WatchParts } from './streams.js';

/**
 * Elections for those without a client library: a term lives by a lease that the caller renews, as a lock does (locks.ts). What a
 * leader proclaims is text or base64; programs write JSON there by default.
 */

const idPattern = '^[A-Za-z0-9_-]{1,64}$';

const proclamation = {
  value: Type.Optional(Type.String({ description: 'what is proclaimed, as text; or base64' })),
  base64: Type.Optional(Type.String({ description: 'what is proclaimed, byte for byte' })),
};

const campaignBody = Type.Object(
  {
    ...proclamation,
    lease: Type.Optional(leaseId('the lease the term ends with; or ttlMs')),
    ttlMs: Type.Optional(Type.Number({ description: 'a new lease of this TTL; or lease' })),
    waitMs: Type.Optional(
      Type.Number({ minimum: 0, maximum: 600_000, description: 'default 0: only if nobody leads' }),
    ),
    owner: Type.Optional(Type.String({ maxLength: 256 })),
    id: Type.Optional(Type.String({ pattern: idPattern })),
  },
  { additionalProperties: false },
);

interface CampaignBody extends AskedLease, Proclamation {
  readonly waitMs?: number;
  readonly owner?: string;
  readonly id?: string;
}

interface Proclamation {
  readonly value?: string;
  readonly base64?: string;
}

const termQuery = Type.Object({
  id: Type.String({ pattern: idPattern, description: 'the id the campaign was made with' }),
});

const proclaimQuery = Type.Object({ ...termQuery.properties, term: Type.Integer({ minimum: 1 }) });
const resignQuery = Type.Object({
  ...termQuery.properties,
  lease: Type.Optional(leaseId('ends this lease too')),
});

const tags = ['elections'];
const { campaign, resign, proclaim } = electionCalls;

export function electionRoutes(app: FastifyInstance, parts: HoldParts, watches: WatchParts): void {
  const { host } = parts;
  for (const url of ['/v1/ns/:ns/elections', '/v1/ns/:ns/elections/*']) {
    app.get(
      url,
      { schema: { tags, summary: 'who leads, who stands', response: answers.election } },
      async (request) => await stateOf(electionOf(watches, request)),
    );

    app.post(
      url,
      { schema: { body: campaignBody, tags, summary: 'campaign', response: answers.term } },
      async (request, reply) =>
        await stand(parts, watches, request, goneSignal(reply, parts.stopping)),
    );

    app.put(
      url,
      {
        schema: {
          querystring: proclaimQuery,
          body: Type.Object(proclamation, { additionalProperties: false }),
          tags,
          summary: 'proclaim',
          response: answers.written,
        },
      },
      async (request) => {
        const says = saysOf(request.body as Proclamation);
        if (says === undefined) throw new WaymarkError('invalid', 'proclaim a value, or base64');
        const { id, term } = request.query as { id: string; term: number };
        const args = { id, path: pathOf(request), term, says };
        return { revision: await host.run(proclaim, namespaceOf(request), args) };
      },
    );

    app.delete(
      url,
      { schema: { querystring: resignQuery, tags, summary: 'resign', response: answers.released } },
      async (request) => {
        const { id, lease } = request.query as { id: string; lease?: LeaseId };
        const args = { id, path: pathOf(request) };
        const released = await host.run(resign, namespaceOf(request), args);
        if (lease !== undefined) await endLease(host, lease);
        return { released };
      },
    );
  }
  observeRoutes(app, watches);
}

/** The leader as it is, then every change, as server-sent events. */
function observeRoutes(app: FastifyInstance, parts: WatchParts): void {
  const schema = { tags, summary: 'leaders as server-sent events', response: answers.events };
  for (const url of ['/v1/ns/:ns/observe', '/v1/ns/:ns/observe/*']) {
    app.get(url, { schema }, async (request, reply) => {
      const election = electionOf(parts, request);
      await streamWatch(reply, parts, 'leader', (signal) => leaders(election, signal));
    });
  }
}

async function* leaders(
  election: Election<Uint8Array>,
  signal: AbortSignal,
): AsyncIterable<object | null> {
  for await (const leader of election.observe({ signal })) yield leader && leaderJson(leader);
}

/** @throws {WaymarkError} `locked` when another leads, or stands before, and nothing may wait */
async function stand(
  parts: HoldParts,
  watches: WatchParts,
  request: FastifyRequest,
  gone: AbortSignal,
): Promise<object> {
  const { host, random } = parts;
  const body = request.body as CampaignBody;
  const [namespace, path, says] = [namespaceOf(request), pathOf(request), saysOf(body)];
  const { id = random.id(), waitMs = 0 } = body;
  const giveBack = (): Promise<unknown> => host.run(resign, namespace, { id, path });
  const cutOff = { gone, findable: body.id !== undefined, giveBack };
  const { taken: term, under } = await underLease(parts, body, cutOff, async (lease, signal) => {
    const { owner = `lease ${lease}` } = body;
    const args = { id, path, lease, owner, session: `lease-${lease}`, says, waitMs };
    const elected = await host.run(campaign, namespace, args, { signal });
    if (elected !== null) return elected;
    throw await led(electionOf(watches, request));
  });
  return { path, id, term, ...under };
}

async function led(election: Election<Uint8Array>): Promise<WaymarkError> {
  const { path } = election;
  const leader = await election.leader();
  if (leader === null) return new WaymarkError('locked', `others stand for ${path}`, { path });
  const { owner: holder, term: token } = leader;
  const told = `${holder} leads ${path} in term ${token}`;
  return new WaymarkError('locked', told, { path, holder, token });
}

function electionOf({ space }: WatchParts, request: FastifyRequest): Election<Uint8Array> {
  return space.namespace(namespaceOf(request), { codec: codecs.bytes }).election(pathOf(request));
}

/** Both at one revision. */
async function stateOf(election: Election<Uint8Array>): Promise<object> {
  const { path, revision, waiters, cycle, summary } = await election.explain();
  const leader = await election.leader({ at: revision });
  const candidates = waiters.map(({ owner, since, lease }) => ({ owner, since, lease }));
  return { path, revision, leader: leader && leaderJson(leader), candidates, cycle, summary };
}

function leaderJson({ value, ...facts }: Leader<Uint8Array>): object {
  if (value === null) return facts;
  const bytes = Buffer.from(value);
  const text = utf8(bytes);
  return { ...facts, ...(text === null ? {} : { value: text }), base64: bytes.toString('base64') };
}

/** As the engine keeps it. @throws {WaymarkError} `invalid` */
function saysOf({ value, base64 }: Proclamation): string | undefined {
  if (value !== undefined && base64 !== undefined) {
    throw new WaymarkError('invalid', 'a proclamation is value or base64, not both');
  }
  if (value !== undefined) return Buffer.from(value, 'utf8').toString('latin1');
  if (base64 === undefined) return undefined;
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') === base64) return bytes.toString('latin1');
  throw new WaymarkError('invalid', 'base64 is the standard alphabet, with its padding');
}
