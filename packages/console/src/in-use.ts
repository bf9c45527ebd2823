import { json, nsUrl, Problem } from './api.js';
import type { Page } from './model.js';

/** So many at once: each is asked for what it is. */
const shownMax = 50;

export interface InUse<T> {
  readonly all: readonly T[];
  readonly more: boolean;
}

/** The paths at and below one where something is, each with what its own route tells of it. */
export async function readInUse<T>(
  { ns, path: at }: { readonly ns: string; readonly path: string },
  kind: { readonly of: string; readonly collection: string },
  signal: AbortSignal,
): Promise<InUse<T & { readonly path: string }>> {
  const url = nsUrl(ns, 'in-use', at, `of=${kind.of}&limit=${shownMax}`);
  const page = await json<Page<string>>(url, { signal });
  const all = await Promise.all(
    page.entries.map(async (path) => {
      const told = await readOne<T>(nsUrl(ns, kind.collection, path), signal);
      return told === null ? [] : [{ ...told, path }];
    }),
  );
  return { all: all.flat(), more: page.more };
}

/** @returns null for what went between the listing and the look */
async function readOne<T>(url: string, signal: AbortSignal): Promise<T | null> {
  return await json<T>(url, { signal }).catch(orElse('not_found', () => null));
}

/** For a `catch`: something else instead of one problem. */
export function orElse<T>(code: string, instead: () => T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Problem && error.code === code) return instead();
    throw error;
  };
}
