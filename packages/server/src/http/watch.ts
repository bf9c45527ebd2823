import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { codecs, type Space, type WatchCall, WaymarkError, type WatchEvent } from 'waymark';
import { type EventGroup, HostNamespace } from 'waymark/engine';
import { checkPattern, patternMatches } from '../watchers/glob.js';
import { answers } from './answers.js';
import type { ReaderCursors } from './cursors.js';
import { goneSignal, namespaceOf, pathOf, resumeFrom } from './inputs.js';
import { entryJson, isSet } from './keys.js';
import { streamEvents } from './sse.js';
import type { WatchParts } from './streams.js';

/** Values as bytes: a face shows them as what they are. */
export type Group = EventGroup<Uint8Array>;

export interface ReaderCall extends WatchCall {
  /** A glob that paths must match. */
  readonly pattern?: string | undefined;
}

/** A watch that has been checked, and may be pulled from. */
export interface OpenWatch {
  readonly groups: AsyncIterableIterator<Group>;
  /** Names the engine's order of commits: part of every id to resume after. */
  readonly identity: string;
}

const watchQuery = Type.Object({
  tree: Type.Optional(Type.String({ description: 'the path and all below it' })),
  after: Type.Optional(
    Type.String({ description: 'resume after this revision or id; the header Last-Event-ID wins' }),
  ),
  previous: Type.Optional(Type.String({ description: 'with the entry before' })),
  locks: Type.Optional(Type.String({ description: 'false: no lock and unlock events' })),
  pattern: Type.Optional(Type.String({ description: 'only paths that this glob matches' })),
  cursor: Type.Optional(
    Type.String({ description: 'resume where this reader was, kept on the server by name' }),
  ),
});

/** Watches as server-sent events. `id:` stands at the end of each whole revision, so `Last-Event-ID` resumes without a gap. */
export function watchRoutes(app: FastifyInstance, parts: WatchParts): void {
  const schema = {
    querystring: watchQuery,
    tags: ['watch'],
    summary: 'changes as server-sent events, or by WebSocket',
    response: answers.events,
  };
  for (const url of ['/v1/ns/:ns/watch', '/v1/ns/:ns/watch/*']) {
    app.get(url, { schema }, async (request, reply) => {
      const leave = parts.streams.enter('sse');
      try {
        const signal = goneSignal(reply, parts.stopping);
        const lastId = request.headers['last-event-id'];
        const query = new URLSearchParams(request.query as Record<string, string>);
        const namespace = namespaceOf(request);
        const said = typeof lastId === 'string' ? lastId : undefined;
        const resumed = await resumeReader(parts.cursors, namespace, query, said);
        const call = { ...callOf(query, resumed), signal };
        const watch = await openWatch(parts.space, namespace, pathOf(request), call);
        await streamEvents(reply, watch, parts, signal);
      } finally {
        leave();
      }
    });
  }
}

/**
 * Begins a watch. What can be refused is refused here, before anything is streamed.
 *
 * @throws {WaymarkError} `future_revision`, `superseded` for an id of another engine, `invalid`
 */
export async function openWatch(
  space: Space,
  namespace: string,
  path: string,
  { pattern, ...call }: ReaderCall,
): Promise<OpenWatch> {
  const ns = space.namespace(namespace, { codec: codecs.bytes });
  if (!(ns instanceof HostNamespace)) throw new WaymarkError('internal', 'a space of another make');
  const { identity, revision } = await space.status();
  if (call.identity !== undefined && call.identity !== identity) {
    throw new WaymarkError('superseded', 'this id is from another engine: begin anew, without it');
  }
  if (call.after !== undefined && call.after > revision) {
    throw new WaymarkError(
      'future_revision',
      `revision ${call.after} is not yet: the newest is ${revision}`,
      { revision },
    );
  }
  const groups = ns.watchGroups(path, { ...call, identity }) as AsyncIterableIterator<Group>;
  return { groups: pattern === undefined ? groups : matching(groups, pattern), identity };
}

/** Where a revision ends is told all the same: so who resumes goes on from there. */
async function* matching(
  groups: AsyncIterableIterator<Group>,
  pattern: string,
): AsyncGenerator<Group> {
  const matches = patternMatches(pattern);
  for await (const group of groups) {
    const events = group.events.filter(({ kind, path }) => kind === 'resync' || matches(path));
    yield { ...group, events };
  }
}

/**
 * Where a reader goes on: what it says, which its cursor learns; else where its cursor stands.
 *
 * @throws {WaymarkError} `invalid` for what is no name and no id
 */
export async function resumeReader(
  cursors: ReaderCursors,
  namespace: string,
  params: URLSearchParams,
  lastEventId: string | undefined,
): Promise<string | undefined> {
  const said = lastEventId ?? params.get('after') ?? undefined;
  const name = params.get('cursor');
  if (name === null) return said;
  if (said === undefined || said === '') return (await cursors.get(namespace, name)) ?? undefined;
  await cursors.move(namespace, name, said);
  return said;
}

/** @param resume  where to go on, if anywhere */
export function callOf(params: URLSearchParams, resume: string | undefined): ReaderCall {
  const flag = (name: string): boolean => isSet(params.get(name) ?? undefined);
  const locks = params.get('locks');
  const pattern = params.get('pattern') ?? undefined;
  if (pattern !== undefined) checkPattern(pattern);
  return {
    pattern,
    tree: flag('tree'),
    previous: flag('previous'),
    locks: locks === null || isSet(locks),
    ...(resume === undefined || resume === '' ? {} : resumeFrom(resume)),
  };
}

export function eventJson(event: WatchEvent<Uint8Array>): object {
  if (event.kind === 'put') {
    const { entry, initial, kind, path, revision, previous } = event;
    const before = previous === undefined ? {} : { previous: previous && entryJson(previous) };
    return { kind, path, revision, initial, entry: entryJson(entry), ...before };
  }
  if (event.kind !== 'delete' && event.kind !== 'expire') return event;
  const { previous, ...rest } = event;
  return previous === undefined ? rest : { ...rest, previous: previous && entryJson(previous) };
}
