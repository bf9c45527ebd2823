import { nsUrl, Problem, send } from './api.js';
import type { Entry } from './model.js';

/** One key's value and facts, as bytes: a value that is JSON must not be read as an answer. @returns null when there is none */
export async function readEntry(
  ns: string,
  path: string,
  { at, signal }: { readonly at?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<Entry | null> {
  let response: Response;
  try {
    response = await send(nsUrl(ns, 'keys', path, at === undefined ? '' : `at=${at}`), { signal });
  } catch (error) {
    if (error instanceof Problem && error.code === 'not_found') return null;
    throw error;
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  const fact = (name: string): number => Number(response.headers.get(`x-waymark-${name}`) ?? 0);
  const text = utf8(bytes);
  return {
    path,
    revision: fact('revision'),
    createRevision: fact('create-revision'),
    version: fact('version'),
    lease: response.headers.get('x-waymark-lease') ?? 0,
    ...(text !== null && { value: text }),
    base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')),
  };
}

/**
 * The values before the one that stands, newest first, as far as history goes.
 *
 * @returns `compacted` when it ends because history does
 */
export async function readHistory(
  ns: string,
  from: Entry,
  { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
): Promise<{ readonly entries: readonly Entry[]; readonly compacted: boolean }> {
  const entries: Entry[] = [];
  let oldest = from;
  while (entries.length < limit && oldest.version > 1) {
    let before: Entry | null;
    try {
      before = await readEntry(ns, from.path, { at: oldest.revision - 1, signal });
    } catch (error) {
      if (error instanceof Problem && error.code === 'compacted')
        return { entries, compacted: true };
      throw error;
    }
    if (before === null) break;
    entries.push(before);
    oldest = before;
  }
  return { entries, compacted: false };
}

/** Writes if what stands is still that revision; 0: if there is none. @throws {Problem} `conflict` */
export async function writeEntry(
  ns: string,
  path: string,
  { value, revision }: { readonly value: string; readonly revision: number },
): Promise<void> {
  await send(nsUrl(ns, 'keys', path), {
    method: 'PUT',
    body: value,
    headers: condition(revision),
  });
}

/** Deletes if what stands is still that revision. @throws {Problem} `conflict` */
export async function deleteEntry(ns: string, path: string, revision: number): Promise<void> {
  await send(nsUrl(ns, 'keys', path), { method: 'DELETE', headers: condition(revision) });
}

function condition(revision: number): Record<string, string> {
  return revision === 0 ? { 'if-none-match': '*' } : { 'if-match': `"${revision}"` };
}

/** @returns null when it is no UTF-8 */
function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** What is shown of a value: the text, or the beginning of its bytes. */
export function shownValue({ value, base64 }: Entry): string {
  if (value !== undefined) return value;
  const bytes = atob(base64);
  const hex = Array.from(bytes.slice(0, 64), (byte) =>
    byte.charCodeAt(0).toString(16).padStart(2, '0'),
  );
  return `${bytes.length} bytes: ${hex.join(' ')}${bytes.length > 64 ? ' …' : ''}`;
}
