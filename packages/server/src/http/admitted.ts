import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { limits, type WaymarkError } from 'waymark';
import type { Clock } from 'waymark/engine';
import type { Admission } from 'waymark/wire';
import type { Metrics } from '../metrics.js';
import { linger } from './linger.js';
import { problemOf, statusOf } from './problem.js';
import { type Upload, Uploads } from './uploads.js';

export interface HttpAdmission {
  /** Bounds the work under way of all faces. */
  readonly admission: Admission;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend?: ((socket: Duplex, token?: string) => WaymarkError | null) | undefined;
}

interface HeadParts extends HttpAdmission {
  readonly clock: Clock;
  readonly requestId: (request: IncomingMessage) => string;
}

/** Requests that still count as work under way, and how they stop. */
const counting = new WeakMap<ServerResponse, () => void>();

/** Requests whose turn comes once their body is there, and what of it is. */
const coming = new WeakMap<IncomingMessage, Upload | null>();

/**
 * Hands on what has its turn, and what has a body, which has its turn once that is there: `bodyTurns`. What is refused for its rate, or because
 * too much waits already, costs no more than its head.
 *
 * @param handler  answers the request
 */
export function admitted(
  { admission, spend, clock, requestId }: HeadParts,
  handler: RequestListener,
): RequestListener {
  return (request, response) => {
    if (isUrgent(request)) return handler(request, response);
    const refused = (error: WaymarkError): void =>
      refuse(response, error, { clock, requestId: requestId(request) });
    const refusal =
      spend?.(request.socket, request.headers.authorization) ?? admission.refusal() ?? null;
    if (refusal !== null) return refused(refusal);
    if (hasBody(request)) {
      coming.set(request, null);
      return handler(request, response);
    }
    takeTurn(admission, response, {
      bytes: 0,
      begin: () => handler(request, response),
      refused,
    });
  };
}

/**
 * What has a body has its turn once that is there: one who announces much and sends little keeps nobody else from their turn. What comes
 * meanwhile is bounded by itself.
 */
export function bodyTurns(
  app: FastifyInstance,
  { admission, metrics }: { readonly admission: Admission; readonly metrics: Metrics },
): void {
  const uploads = new Uploads(admission.limits.inFlightBytesMax);
  const help = 'Bytes of bodies that are still coming over HTTP, as far as they are counted.';
  metrics.gauge('waymark_http_bodies_coming_bytes', help, () => uploads.bytes);
  app.addHook('preParsing', (request, reply, payload, done) => {
    if (!coming.has(request.raw) || isStreamed(request)) return done(null, payload);
    const refused = (error: WaymarkError): void => {
      // As if it had broken off by itself: whoever reads it answers, and closes the connection.
      if (payload.listenerCount('error') > 0) payload.emit('error', error);
    };
    const upload = uploads.begin(refused);
    coming.set(request.raw, upload);
    payload.on('data', (bytes: Buffer) => upload.add(bytes.length));
    reply.raw.once('close', () => upload.end());
    // The one who reads it listens from the same turn of the event loop on.
    done(null, payload);
  });
  app.addHook('preValidation', (request, reply, done) => {
    const upload = coming.get(request.raw);
    if (upload === undefined) return done();
    upload?.end();
    const bytes = Math.min(upload?.bytes ?? 0, limits.requestBytesMax);
    takeTurn(admission, reply.raw, { bytes, begin: done, refused: done });
  });
}

/** Whoever takes a body as it comes holds it back by not reading on: to listen to it would let it flow. */
function isStreamed({ headers, routeOptions }: FastifyRequest): boolean {
  const { streamed } = routeOptions.config as { readonly streamed?: string };
  return streamed !== undefined && headers['content-type']?.startsWith(streamed) === true;
}

interface HttpTurn {
  readonly bytes: number;
  readonly begin: () => void;
  readonly refused: (error: WaymarkError) => void;
}

/** It counts until it is answered, or its client has gone. */
function takeTurn(admission: Admission, response: ServerResponse, turn: HttpTurn): void {
  const { bytes, refused } = turn;
  const begin = (): void => {
    if (response.destroyed) return admission.leave(bytes);
    const leave = (): void => {
      if (counting.delete(response)) admission.leave(bytes);
    };
    counting.set(response, leave);
    response.once('close', leave);
    turn.begin();
  };
  if (admission.enter(bytes)) return begin();
  // What is done then belongs to this request, not to the one that made room. Not `AsyncResource.bind`: in Node 20 each of its functions is
  // given properties of its own, which costs as much as the head of a request.
  const own = new AsyncResource('WaymarkTurn');
  admission.wait({ bytes, begin: () => own.runInAsyncScope(begin), refused });
}

/**
 * One request of a connection after the other. Node hands on all that came together, but tells only the first that its client has gone: what
 * was begun for the others would never be over.
 */
export function inTurn(handler: RequestListener): RequestListener {
  return (request, response) => {
    // What follows an answer that closes the connection is not done: nobody could be told.
    if (request.socket.writableEnded) return;
    if (response.socket !== null) return handler(request, response);
    // It is no part of what was answered before it.
    const own = new AsyncResource('WaymarkTurn');
    response.once('socket', () => own.runInAsyncScope(handler, null, request, response));
  };
}

/** It may wait for others from now on, and that is no work. */
export function stopCounting(response: ServerResponse): void {
  counting.get(response)?.();
}

function hasBody({ headers }: IncomingMessage): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  const length = headers['content-length'];
  return length !== undefined && length !== '0';
}

/** Keeps alive what is there, gives it back, or tells how the server is. */
function isUrgent({ method, url = '' }: IncomingMessage): boolean {
  if (method === 'GET') return url === '/healthz' || url === '/readyz' || url === '/metrics';
  if (method === 'DELETE')
    return /^\/v1\/(leases\/|ns\/[^/]+\/(locks|semaphores|names|elections)\/)/.test(url);
  return method === 'POST' && /^\/v1\/leases\/[^/]+\/renew$/.test(url);
}

/** What is left of a body is read and forgotten, and the connection serves on; unless more is announced than any request may have. */
function refuse(
  response: ServerResponse,
  error: WaymarkError,
  { clock, requestId }: { readonly clock: Clock; readonly requestId: string },
): void {
  if (response.destroyed) return;
  const body = problemOf(error, requestId);
  const tooLong = Number(response.req.headers['content-length'] ?? 0) > limits.requestBytesMax;
  if (tooLong) linger(response.req, clock);
  response.writeHead(statusOf(error), {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'retry-after': String(Math.ceil((error.facts.retryAfterMs ?? 1_000) / 1_000)),
    'x-request-id': requestId,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    ...(tooLong && { connection: 'close' }),
  });
  response.end(body);
}
