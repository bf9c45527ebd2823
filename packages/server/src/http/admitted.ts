import { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { limits, type WaymarkError } from 'waymark';
import type { Admission } from 'waymark/wire';
import { problemOf, statusOf } from './problem.js';

export interface HttpAdmission {
  /** Bounds the work under way of all faces. */
  readonly admission: Admission;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend?: ((socket: Duplex, token?: string) => WaymarkError | null) | undefined;
}

/** Requests that still count as work under way, and how they stop. */
const counting = new WeakMap<ServerResponse, () => void>();

/**
 * Hands on what has its turn. Nothing is read of a body before, and what is refused costs no more than its head.
 *
 * @param handler  answers the request
 */
export function admitted(
  { admission, spend }: HttpAdmission,
  handler: RequestListener,
): RequestListener {
  return (request, response) => {
    if (isUrgent(request)) return handler(request, response);
    const refusal = spend?.(request.socket, request.headers.authorization) ?? null;
    if (refusal !== null) return refuse(response, refusal);
    const bytes = bytesOf(request);
    const begin = (): void => {
      if (response.destroyed) return admission.leave(bytes);
      const leave = (): void => {
        if (counting.delete(response)) admission.leave(bytes);
      };
      counting.set(response, leave);
      response.once('close', leave);
      handler(request, response);
    };
    if (admission.enter(bytes)) return begin();
    const refused = (error: WaymarkError): void => refuse(response, error);
    admission.wait({ bytes, begin: AsyncResource.bind(begin), refused });
  };
}

/**
 * One request of a connection after the other. Node hands on all that came together, but tells only the first that its client has gone: what
 * was begun for the others would never be over.
 */
export function inTurn(handler: RequestListener): RequestListener {
  return (request, response) => {
    if (response.socket !== null) return handler(request, response);
    // It is no part of what was answered before it.
    response.once(
      'socket',
      AsyncResource.bind(() => handler(request, response)),
    );
  };
}

/** It may wait for others from now on, and that is no work. */
export function stopCounting(response: ServerResponse): void {
  counting.get(response)?.();
}

/** A body without a length is as long as one may be. */
function bytesOf({ headers }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return limits.requestBytesMax;
  const length = Number(headers['content-length'] ?? 0);
  return Number.isNaN(length) ? 0 : Math.min(length, limits.requestBytesMax);
}

/** Keeps alive what is there, gives it back, or tells how the server is. */
function isUrgent({ method, url = '' }: IncomingMessage): boolean {
  if (method === 'GET') return url === '/healthz' || url === '/readyz' || url === '/metrics';
  if (method === 'DELETE')
    return /^\/v1\/(leases\/|ns\/[^/]+\/(locks|semaphores|names|elections)\/)/.test(url);
  return method === 'POST' && /^\/v1\/leases\/[^/]+\/renew$/.test(url);
}

function refuse(response: ServerResponse, error: WaymarkError): void {
  if (response.destroyed) return;
  const body = problemOf(error);
  response.writeHead(statusOf(error), {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'retry-after': String(Math.ceil((error.facts.retryAfterMs ?? 1_000) / 1_000)),
  });
  response.end(body);
}
