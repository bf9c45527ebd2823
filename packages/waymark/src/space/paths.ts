import type { ByteString } from '../core/engine.js';
import { bytesToText, foundAscii, textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';

/**
 * Paths: `/orders/42/status`. Segments are any text but empty, `.`, `..`, and what holds NUL; `/` alone is the root. The canonical form
 * is absolute, without a slash at the end, and is the only one that is checked, used and shown.
 */

const loneSurrogate = /\p{Surrogate}/u;

/** Nearly every path in use: segments of plain ASCII that do not begin with a dot. What does not match is looked at segment by segment. */
const plainPath = /^(?:\/[!-\-0-~][ -.0-~]*){1,32}$/;

/**
 * @param base  canonical; a path without a leading slash begins there, and '' is `base` itself
 * @returns the canonical path
 * @throws {WaymarkError} `invalid`, `too_large`
 */
export function resolvePath(base: string, path: string): string {
  if (typeof path !== 'string') throw invalid(String(path), `a path is text, not ${typeof path}`);
  const absolute = path.startsWith('/')
    ? path
    : path === ''
      ? base
      : base === '/'
        ? `/${path}`
        : `${base}/${path}`;
  if (absolute === '/') return absolute;
  checkPath(absolute);
  return absolute;
}

/** @throws {WaymarkError} `invalid`, `too_large` for what is not a path in its canonical form */
export function checkCanonical(path: string): void {
  if (resolvePath('/', path) !== path) throw invalid(path, 'a whole path begins with a slash');
}

/** The canonical path as it stands in keys: the root is the empty one. */
export function pathToBytes(path: string): ByteString {
  return path === '/' ? '' : textToBytes(path);
}

export function bytesToPath(bytes: ByteString): string {
  return bytes === '' ? '/' : bytesToText(bytes);
}

/** The proper ancestors of a path in key form, from the root down. */
export function ancestorsOf(path: ByteString): ByteString[] {
  const ancestors: ByteString[] = [];
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    ancestors.push(path.slice(0, at));
  }
  return ancestors;
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function checkNamespaceName(name: string): void {
  const shown = String(name);
  if (typeof name !== 'string' || name === '') throw invalid(shown, 'a namespace needs a name');
  checkSegment(shown, name);
  if (name.includes('/')) throw invalid(shown, 'the name of a namespace holds no slash');
  const bytes = Buffer.byteLength(name);
  const max = limits.namespaceBytesMax;
  if (bytes <= max) return;
  const facts = { limit: 'namespaceBytesMax', max, actual: bytes };
  throw new WaymarkError('too_large', `the name of a namespace takes at most ${max} bytes`, facts);
}

function checkPath(path: string): void {
  if (path.length <= limits.pathBytesMax && plainPath.test(path)) return foundAscii(path);
  const actual = Buffer.byteLength(path);
  if (actual > limits.pathBytesMax)
    throw tooLarge('pathBytesMax', limits.pathBytesMax, actual, 'bytes');
  const segments = path.slice(1).split('/');
  if (segments.length > limits.pathDepthMax) {
    throw tooLarge('pathDepthMax', limits.pathDepthMax, segments.length, 'segments');
  }
  for (const segment of segments) checkSegment(path, segment);
}

function checkSegment(path: string, segment: string): void {
  if (segment === '') throw invalid(path, 'a path holds no empty segment and ends without a slash');
  if (segment === '.' || segment === '..') throw invalid(path, `a segment may not be '${segment}'`);
  if (segment.includes('\0')) throw invalid(path, 'a segment holds no NUL');
  if (loneSurrogate.test(segment))
    throw invalid(path, 'a segment is well-formed text: no lone surrogate');
}

function invalid(path: string, why: string): WaymarkError {
  const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
  return new WaymarkError('invalid', `${JSON.stringify(shown)}: ${why}`, { path: shown });
}

function tooLarge(limit: string, max: number, actual: number, unit: string): WaymarkError {
  return new WaymarkError('too_large', `a path of ${actual} ${unit}: at most ${max} (${limit})`, {
    limit,
    max,
    actual,
  });
}
