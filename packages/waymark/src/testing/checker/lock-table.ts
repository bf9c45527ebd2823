import type { Model } from './linearizable.js';

/**
 * The lock table as a sequential model: who holds what, and the highest token granted so far for each path and kind. A grant needs that
 * no conflicting hold stands and that its token is higher than any conflicting one before it. A lease that died is an `end` whose
 * outcome is unknown: it takes effect at any time after its call, or never.
 */
export interface Locked {
  /** The caller's name for this request; unique in a history. */
  readonly id: string;
  readonly path: string;
  readonly tree: boolean;
  readonly mode: 'exclusive' | 'shared';
}

export type LockInput =
  | { readonly op: 'acquire'; readonly lock: Locked }
  | { readonly op: 'end'; readonly lock: Locked }
  /** A write that is guarded by the hold. */
  | { readonly op: 'write'; readonly lock: Locked };

export interface LockOutput {
  /** Acquire. */
  readonly token?: number;
  /** End: whether it was still held. Write: whether it was let through. */
  readonly held?: boolean;
}

export interface LockTable {
  readonly holds: readonly (Locked & { readonly token: number | null })[];
  /** The highest token by mode, kind and path. */
  readonly tokens: ReadonlyMap<string, { readonly lock: Locked; readonly token: number }>;
}

export const lockTableModel: Model<LockTable, LockInput, LockOutput> = {
  name: 'lock table',
  initial: { holds: [], tokens: new Map() },
  fingerprint({ holds, tokens }) {
    const held = holds.map((hold) => `${hold.id}=${hold.token}`).sort();
    return `${held.join()};${[...tokens]
      .map(([name, { token }]) => `${name}=${token}`)
      .sort()
      .join()}`;
  },
  step(state, input, output) {
    const { lock } = input;
    const held = state.holds.some((hold) => hold.id === lock.id);
    if (input.op === 'acquire') return granted(state, lock, output?.token ?? null);
    if (output?.held !== undefined && output.held !== held) return undefined;
    if (input.op === 'write') return state;
    return held ? { ...state, holds: state.holds.filter((hold) => hold.id !== lock.id) } : state;
  },
};

function granted(state: LockTable, lock: Locked, token: number | null): LockTable | undefined {
  if (state.holds.some((hold) => locksConflict(hold, lock))) return undefined;
  const tokens = new Map(state.tokens);
  if (token !== null) {
    for (const past of tokens.values()) {
      if (locksConflict(past.lock, lock) && past.token >= token) return undefined;
    }
    tokens.set(`${lock.mode} ${lock.tree} ${lock.path}`, { lock, token });
  }
  return { holds: [...state.holds, { ...lock, token }], tokens };
}

/** Shared beside shared is none; else the same path, or a tree above the other. `/a` is not above `/ab`. */
export function locksConflict(one: Locked, two: Locked): boolean {
  if (one.mode === 'shared' && two.mode === 'shared') return false;
  return (
    one.path === two.path ||
    (one.tree && isAbove(one.path, two.path)) ||
    (two.tree && isAbove(two.path, one.path))
  );
}

function isAbove(ancestor: string, path: string): boolean {
  return path.startsWith(ancestor === '/' ? '/' : `${ancestor}/`);
}
