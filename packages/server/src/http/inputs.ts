import type { FastifyRequest } from 'fastify';
import { WaymarkError } from 'waymark';
import { resolvePath, type HoldProof } from 'waymark/engine';

/** What the routes read from a request beside its schema. */

/**
 * The path after `/v1/ns/{ns}/{collection}`, from the URL as it was sent: each segment is decoded once, so `%2F` cannot smuggle a
 * slash into one. @throws {WaymarkError} `invalid`, `too_large`
 */
export function pathOf(request: FastifyRequest): string {
  const url = request.raw.url ?? '';
  const question = url.indexOf('?');
  const segments = (question < 0 ? url : url.slice(0, question)).split('/').slice(5);
  if (segments.length === 0 || (segments.length === 1 && segments[0] === '')) return '/';
  return resolvePath('/', `/${segments.map(decodeSegment).join('/')}`);
}

export function namespaceOf(request: FastifyRequest): string {
  const { ns } = request.params as { ns: string };
  return ns;
}

/** A proof of a hold in two headers. */
export function holdOf(request: FastifyRequest): HoldProof | undefined {
  const path = request.headers['x-waymark-hold-path'];
  const token = request.headers['x-waymark-hold-token'];
  if (path === undefined && token === undefined) return undefined;
  const number = Number(token);
  if (typeof path !== 'string' || !Number.isSafeInteger(number)) {
    throw new WaymarkError('invalid', 'a hold takes both x-waymark-hold-path and a whole x-waymark-hold-token');
  }
  return { path: resolvePath('/', decodeHeader(path)), token: number };
}

/** `If-Match: "7"` is revision 7, `If-None-Match: *` is "only if there is none": 0. */
export function ifRevisionOf(request: FastifyRequest): number | undefined {
  const match = request.headers['if-match'];
  const noneMatch = request.headers['if-none-match'];
  if (noneMatch === '*' && match === undefined) return 0;
  if (match === undefined) return undefined;
  const revision = /^"(\d+)"$/.exec(match)?.[1];
  if (revision === undefined) throw new WaymarkError('invalid', 'If-Match takes one ETag as it was given: "7"');
  return Number(revision);
}

/** `30s`, `500ms`, or a number of milliseconds. At most 10 minutes. */
export function durationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  const ms = Number(match?.[1]) * { ms: 1, s: 1_000, m: 60_000 }[(match?.[2] ?? 'ms') as 'ms' | 's' | 'm'];
  if (match === null || ms > 600_000) {
    throw new WaymarkError('invalid', `'${text}' is no duration up to 10 minutes: take 30s, 500ms or 1m`);
  }
  return ms;
}

/** Aborts when the client is gone. */
export function goneSignal(request: FastifyRequest): AbortSignal {
  const gone = new AbortController();
  request.raw.socket.once('close', () => gone.abort(new WaymarkError('unavailable', 'the client is gone')));
  return gone.signal;
}

function decodeSegment(segment: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    throw new WaymarkError('invalid', `'${segment}' is not percent-encoded UTF-8`);
  }
  if (decoded.includes('/')) {
    throw new WaymarkError('invalid', `'${segment}': a segment cannot hold a slash, encoded or not`);
  }
  return decoded;
}

function decodeHeader(value: string): string {
  return value.split('/').map(decodeSegment).join('/');
}
