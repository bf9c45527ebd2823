import type { FastifyReply, FastifyRequest } from 'fastify';
import { WaymarkError } from 'waymark';
import { endable } from '../access/standing.js';
import { stopCounting } from './admitted.js';
import { resolvePath, type HoldProof } from 'waymark/engine';

/** What the routes read from a request beside its schema. */

/**
 * The path after `/v1/ns/{ns}/{collection}`, from the URL as it was sent: each segment is decoded once, so `%2F` cannot smuggle a
 * slash into one. @throws {WaymarkError} `invalid`, `too_large`
 */
export function pathOf(request: FastifyRequest): string {
  return pathFrom(request.raw.url ?? '');
}

/** The same for a URL as it stands in a request. */
export function pathFrom(url: string): string {
  return pathOfSegments(rawPath(url).split('/').slice(5));
}

/** From `/v1/ns/{ns}/groups/{group}/{verb}`, or `/v1/groups/{group}/{verb}` for the namespace `default`. */
export function groupOf(request: FastifyRequest): {
  readonly namespace: string;
  readonly path: string;
} {
  const segments = rawPath(request.raw.url ?? '').split('/');
  const named = segments[2] === 'ns';
  const namespace = named ? decodeSegment(segments[3] ?? '') : 'default';
  return { namespace, path: pathOfSegments(segments.slice(named ? 5 : 3, -1)) };
}

function pathOfSegments(segments: readonly string[]): string {
  if (segments.length === 0 || (segments.length === 1 && segments[0] === '')) return '/';
  return resolvePath('/', `/${segments.map(decodeSegment).join('/')}`);
}

export function rawPath(url: string): string {
  const question = url.indexOf('?');
  return question < 0 ? url : url.slice(0, question);
}

export function namespaceOf(request: FastifyRequest): string {
  return namespaceFrom(request.raw.url ?? '');
}

export function namespaceFrom(url: string): string {
  return decodeSegment(rawPath(url).split('/')[3] ?? '');
}

/** A proof of a hold in two headers. */
export function holdOf(request: FastifyRequest): HoldProof | undefined {
  const path = request.headers['x-waymark-hold-path'];
  const token = request.headers['x-waymark-hold-token'];
  if (path === undefined && token === undefined) return undefined;
  if (typeof path !== 'string' || typeof token !== 'string' || !/^\d{1,15}$/.test(token)) {
    throw new WaymarkError(
      'invalid',
      'a hold takes both x-waymark-hold-path and a whole x-waymark-hold-token',
    );
  }
  const decoded = path.split('/').map(decodeSegment).join('/');
  return { path: resolvePath('/', decoded), token: Number(token) };
}

/** `If-Match: "7"` is revision 7, `If-None-Match: *` is "only if there is none": 0. */
export function ifRevisionOf(request: FastifyRequest): number | undefined {
  const match = request.headers['if-match'];
  const noneMatch = request.headers['if-none-match'];
  if (match !== undefined && noneMatch !== undefined) {
    throw new WaymarkError('invalid', 'a write takes If-Match or If-None-Match, not both');
  }
  if (noneMatch !== undefined && noneMatch !== '*') {
    throw new WaymarkError('invalid', 'If-None-Match on a write takes *: only if there is none');
  }
  if (noneMatch === '*') return 0;
  if (match === undefined) return undefined;
  const revision = /^"(\d{1,15})"$/.exec(match)?.[1];
  if (revision === undefined)
    throw new WaymarkError('invalid', 'If-Match takes one ETag as it was given: "7"');
  return Number(revision);
}

/** `30s`, `500ms`, or a number of milliseconds. At most 10 minutes. */
export function durationMs(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text);
  const ms =
    Number(match?.[1]) * { ms: 1, s: 1_000, m: 60_000 }[(match?.[2] ?? 'ms') as 'ms' | 's' | 'm'];
  if (match === null || ms > 600_000) {
    throw new WaymarkError(
      'invalid',
      `'${text.slice(0, 40)}' is no duration up to 10 minutes: take 30s, 500ms or 1m`,
    );
  }
  return ms;
}

/** Of a request that may last: aborts when the client is gone, or, where it may wait for others, the server stops. */
export function goneSignal(reply: FastifyReply, stopping?: AbortSignal): AbortSignal {
  const response = reply.raw;
  if (stopping !== undefined) stopCounting(response);
  // Not AbortSignal.any: in Node 20 a signal that lives on keeps something of each signal that was made of it.
  const ending = endable(stopping);
  response.once('close', () => {
    ending.leave();
    if (!response.writableFinished)
      ending.end(new WaymarkError('unavailable', 'the client is gone'));
  });
  return ending.signal;
}

/** Where to resume: `42`, or `42-IDENTITY` as `id:` gives it, which also tells another engine's revisions apart. */
export function resumeFrom(text: string): {
  readonly after: number;
  readonly identity: string | undefined;
} {
  const match = /^(\d{1,15})(?:-([\w-]{1,64}))?$/.exec(text);
  if (match === null) {
    throw new WaymarkError('invalid', `'${text.slice(0, 80)}' is no revision to resume after`);
  }
  return { after: Number(match[1]), identity: match[2] };
}

function decodeSegment(segment: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    throw new WaymarkError('invalid', `'${segment.slice(0, 80)}' is not percent-encoded UTF-8`);
  }
  if (decoded.includes('/')) {
    throw new WaymarkError(
      'invalid',
      `'${segment.slice(0, 80)}': a segment cannot hold a slash, encoded or not`,
    );
  }
  return decoded;
}
