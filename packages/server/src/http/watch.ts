import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ServerResponse } from 'node:http';
import type { WebSocket } from 'ws';
import { codecs, type Space, type WatchCall, WaymarkError, type WatchEvent } from 'waymark';
import { type EventGroup, HostNamespace } from 'waymark/engine';
import { goneSignal, namespaceOf, pathOf } from './inputs.js';
import { entryJson, isSet } from './keys.js';
import { problemOf, toWaymarkError } from './problem.js';

const heartbeatMs = 15_000;

/** Watches as server-sent events. `id:` stands at the end of each whole revision, so `Last-Event-ID` resumes without a gap. */
export function watchRoutes(app: FastifyInstance, space: Space): void {
  for (const url of ['/v1/ns/:ns/watch', '/v1/ns/:ns/watch/*']) {
    app.get(url, { schema: { tags: ['watch'] } }, async (request, reply) => {
      const signal = goneSignal(request);
      const call = { ...watchCallOf(request), signal };
      const groups = groupsOf(space, namespaceOf(request), pathOf(request), call);
      // The first group shows whether the watch stands: a refusal is still a plain answer.
      const first = await groups.next();
      await streamEvents(reply, groups, first, signal);
    });
  }
}

/** The same over a WebSocket: one JSON message per event, `{ resume }` at the end of each whole revision. */
export async function watchOverWebSocket(space: Space, socket: WebSocket, url: URL, namespace: string, path: string): Promise<void> {
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  const call = { ...paramsToCall(url.searchParams, undefined), signal: gone.signal };
  try {
    for await (const group of groupsOf(space, namespace, path, call)) {
      for (const event of group.events) socket.send(JSON.stringify(eventJson(event)));
      if (group.resume !== undefined) socket.send(JSON.stringify({ resume: group.resume }));
      while (socket.bufferedAmount > 1_048_576 && !gone.signal.aborted) await new Promise(setImmediate);
    }
  } catch (error) {
    if (!gone.signal.aborted) {
      socket.send(problemOf(toWaymarkError(error)));
      socket.close(1011);
    }
  }
}

export function groupsOf(
  space: Space,
  namespace: string,
  path: string,
  call: WatchCall,
): AsyncIterableIterator<EventGroup<Uint8Array>> {
  const ns = space.namespace(namespace, { codec: codecs.bytes });
  if (!(ns instanceof HostNamespace)) throw new WaymarkError('internal', 'a space of another make');
  return ns.watchGroups(path, call) as AsyncIterableIterator<EventGroup<Uint8Array>>;
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

function watchCallOf(request: FastifyRequest): WatchCall {
  const url = new URL(request.raw.url ?? '/', 'http://localhost');
  const lastId = request.headers['last-event-id'];
  return paramsToCall(url.searchParams, typeof lastId === 'string' ? lastId : undefined);
}

function paramsToCall(params: URLSearchParams, lastEventId: string | undefined): WatchCall {
  const flag = (name: string): boolean => isSet(params.get(name) ?? undefined);
  const after = lastEventId ?? params.get('after') ?? undefined;
  if (after !== undefined && !/^\d{1,16}$/.test(after)) {
    throw new WaymarkError('invalid', `'${after}' is no revision to resume after`);
  }
  const locks = params.get('locks');
  return {
    tree: flag('tree'),
    previous: flag('previous'),
    locks: locks === null || isSet(locks),
    after: after === undefined ? undefined : Number(after),
  };
}

async function streamEvents(
  reply: FastifyReply,
  groups: AsyncIterableIterator<EventGroup<Uint8Array>>,
  first: IteratorResult<EventGroup<Uint8Array>>,
  signal: AbortSignal,
): Promise<void> {
  reply.hijack();
  const response = reply.raw;
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.write(': connected\n\n');
  const beat = setInterval(() => response.write(': alive\n\n'), heartbeatMs);
  try {
    for (let step = first; step.done !== true; step = await groups.next()) {
      await write(response, printGroup(step.value), signal);
    }
  } catch (error) {
    if (!signal.aborted) response.write(`event: error\ndata: ${problemOf(toWaymarkError(error))}\n\n`);
  } finally {
    clearInterval(beat);
    await groups.return?.();
    response.end();
  }
}

function printGroup(group: EventGroup<Uint8Array>): string {
  const events = group.events.map((event, i) => {
    const last = i === group.events.length - 1 && group.resume !== undefined;
    const id = last ? `id: ${group.resume}\n` : '';
    return `${id}event: ${event.kind}\ndata: ${JSON.stringify(eventJson(event))}\n\n`;
  });
  // Without events an id alone moves the place on.
  if (events.length === 0 && group.resume !== undefined) return `id: ${group.resume}\n\n`;
  return events.join('');
}

/** Waits for a slow reader: the watch is a cursor, so nothing piles up meanwhile. */
function write(response: ServerResponse, text: string, signal: AbortSignal): Promise<void> {
  if (response.write(text) || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.removeListener('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}
