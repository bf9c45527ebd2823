import type { FastifyReply } from 'fastify';
import type { ServerResponse } from 'node:http';
import { goneSignal } from './inputs.js';
import { problemOf, toWaymarkError } from './problem.js';
import { repeat, type WatchParts } from './streams.js';
import { eventJson, type Group, type OpenWatch } from './watch.js';

/** How soon a browser comes back after the server stopped. */
const retryMs = 1_000;

/** Streams a watch: see `streamTexts`. */
export async function streamEvents(
  reply: FastifyReply,
  { groups, identity }: OpenWatch,
  parts: WatchParts,
  signal: AbortSignal,
): Promise<void> {
  await streamTexts(reply, groups, (group) => printed(group, identity), { parts, signal });
}

/** Streams what a recipe's watch tells, as events of one name, as long as the client is there. @throws {WaymarkError} `overloaded` */
export async function streamWatch<T>(
  reply: FastifyReply,
  parts: WatchParts,
  event: string,
  watch: (signal: AbortSignal) => AsyncIterable<T>,
  idOf?: (told: T) => string,
): Promise<void> {
  const leave = parts.streams.enter('sse');
  try {
    const signal = goneSignal(reply, parts.stopping);
    const print = (told: T): readonly string[] => {
      const id = idOf === undefined ? '' : `id: ${idOf(told)}\n`;
      return [`${id}event: ${event}\ndata: ${JSON.stringify(told)}\n\n`];
    };
    await streamTexts(reply, watch(signal), print, { parts, signal });
  } finally {
    leave();
  }
}

/**
 * Streams what is told until the client goes, the server stops or the source fails; the last two are told. What `print` gives is written
 * piece by piece, and made when it is: a page of a snapshot is hundreds of megabytes where values are large.
 */
async function streamTexts<T>(
  reply: FastifyReply,
  source: AsyncIterable<T>,
  print: (told: T) => Iterable<string>,
  { parts, signal }: { readonly parts: WatchParts; readonly signal: AbortSignal },
): Promise<void> {
  reply.hijack();
  const response = reply.raw;
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-accel-buffering': 'no',
  });
  response.write(`retry: ${retryMs}\n: connected\n\n`);
  const still = repeat(parts.clock, parts.heartbeatMs, () => {
    // To a reader that does not read, a heartbeat would only pile up.
    if (!response.writableNeedDrain) response.write(': alive\n\n');
  });
  try {
    for await (const told of source) {
      for (const text of print(told)) await write(response, text, signal);
    }
  } catch (error) {
    if (parts.stopping.aborted) response.write(': the server stops, come back\n\n');
    else if (!signal.aborted)
      response.write(`event: error\ndata: ${problemOf(toWaymarkError(error))}\n\n`);
  } finally {
    still();
    response.end();
  }
}

/**
 * An id stands where a whole revision ends, and nowhere else: on the last event of the group, and before each step of
 * the revision. What a snapshot or a resync tells is whole at its end alone.
 */
function* printed({ events, resume }: Group, identity: string): Generator<string> {
  if (events.length === 0 && resume !== undefined) yield `id: ${resume}-${identity}\n\n`;
  const ordered = !events.some(
    (event) => event.kind === 'resync' || ('initial' in event && event.initial),
  );
  for (const [i, event] of events.entries()) {
    const next = events[i + 1];
    const whole =
      next === undefined
        ? resume
        : ordered && next.revision > event.revision
          ? event.revision
          : undefined;
    const id = whole === undefined ? '' : `id: ${whole}-${identity}\n`;
    yield `${id}event: ${event.kind}\ndata: ${JSON.stringify(eventJson(event))}\n\n`;
  }
}

/** Waits for a slow reader: the watch is a cursor, so nothing piles up meanwhile. @throws the signal's reason, before it writes more */
async function write(response: ServerResponse, text: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (response.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.removeListener('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}
