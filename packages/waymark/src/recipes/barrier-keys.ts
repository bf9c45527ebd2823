import type { ByteString, Entry, KeyRange } from '../core/engine.js';
import { pathToBytes } from '../space/paths.js';

/**
 * Where a barrier stands (`b`, or `d` for a double one):
 *
 *   b/start NUL b      its state: parties, generation, who passed last
 *   b/start NUL b/id   the place of one who has come, under its lease
 */

export type BarrierKind = 'barrier' | 'double';

export interface BarrierState {
  readonly parties: number;
  /** How often it has passed. */
  readonly generation: number;
  /** The request ids of the newest generation: a repeated request learns that it passed. */
  readonly passed: readonly string[];
  /** Double: places created up to this revision are inside. 0 otherwise. */
  readonly through: number;
}

export class BarrierKeys {
  readonly state: ByteString;
  /** State and places: one read shows all of it at one revision. */
  readonly all: KeyRange;

  constructor(path: string, kind: BarrierKind) {
    this.state = `b${pathToBytes(path)}\0${kind === 'double' ? 'd' : 'b'}`;
    this.all = { key: this.state, end: `${this.state}0` };
  }

  place(id: string): ByteString {
    return `${this.state}/${id}`;
  }

  id({ key }: Entry): string {
    return key.slice(this.state.length + 1);
  }
}

/** A barrier at one revision. */
export interface BarrierView {
  readonly revision: number;
  /** Null while nobody has come yet. */
  readonly state: BarrierState | null;
  readonly stateMod: number;
  /** Places, in the order in which they came. */
  readonly waiting: readonly Entry[];
  /** Double: places of those who are in. */
  readonly inside: readonly Entry[];
}

export function viewOf(
  keys: BarrierKeys,
  { entries, revision }: { readonly entries: readonly Entry[]; readonly revision: number },
): BarrierView {
  const found = entries.find(({ key }) => key === keys.state);
  const state = found === undefined ? null : decodeState(found);
  const through = state?.through ?? 0;
  const places = entries
    .filter((entry) => entry !== found)
    .sort((a, b) => a.createRevision - b.createRevision);
  return {
    revision,
    state,
    stateMod: found?.modRevision ?? 0,
    waiting: places.filter(({ createRevision }) => createRevision > through),
    inside: places.filter(({ createRevision }) => createRevision <= through),
  };
}

export function encodeState(state: BarrierState): ByteString {
  return JSON.stringify(state);
}

export function decodeState({ value }: Entry): BarrierState {
  return JSON.parse(value) as BarrierState;
}
