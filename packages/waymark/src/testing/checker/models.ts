import type { Model } from './linearizable.js';

/** One register, as in the Jepsen histories of etcd. */
export type RegisterInput =
  | { readonly op: 'read' }
  | { readonly op: 'write'; readonly value: number }
  | { readonly op: 'cas'; readonly from: number; readonly to: number };

export interface RegisterOutput {
  /** What a read saw. */
  readonly value?: number | null;
  /** Whether a cas took place. */
  readonly swapped?: boolean;
}

export const registerModel: Model<number | null, RegisterInput, RegisterOutput> = {
  name: 'register',
  initial: null,
  fingerprint: String,
  step(state, input, output) {
    if (input.op === 'write') return input.value;
    if (input.op === 'read')
      return output === undefined || output.value === state ? state : undefined;
    const swapped = state === input.from;
    if (output !== undefined && output.swapped !== swapped) return undefined;
    return swapped ? input.to : state;
  },
};

/** A map of text, each key by itself. */
export interface TextInput {
  readonly op: 'get' | 'put' | 'append';
  readonly key: string;
  readonly value: string;
}

/** What a get saw; anything for the others. */
export type TextOutput = string;

export const textModel: Model<string, TextInput, TextOutput> = {
  name: 'text',
  initial: '',
  partition: (input) => input.key,
  fingerprint: (state) => state,
  step(state, input, output) {
    if (input.op === 'put') return input.value;
    if (input.op === 'append') return state + input.value;
    return output === undefined || output === state ? state : undefined;
  },
};

/**
 * One key with its revision: what a get, put, delete or a put or delete `ifRevision` answers. Revisions are names here: that they are in
 * commit order is the revision oracle's business. Values must be unique among the writes of a key.
 */
export interface VersionedInput {
  readonly key: string;
  readonly op: 'get' | 'put' | 'delete';
  readonly value?: string | undefined;
  /** Only if the entry's revision is this; 0: only if there is none. */
  readonly ifRevision?: number | undefined;
}

export interface VersionedOutput {
  /** Get: what was there. */
  readonly entry?: { readonly value: string; readonly revision: number } | null;
  /** A write: the revision of its commit. */
  readonly revision?: number | undefined;
  /** A delete: whether there was something. */
  readonly deleted?: boolean | undefined;
  /** The condition did not hold. */
  readonly conflict?: boolean | undefined;
}

/** `revision` is null after a write whose answer was lost, until a read tells it. */
export interface VersionedState {
  readonly value: string;
  readonly revision: number | null;
}

export const versionedModel: Model<VersionedState | null, VersionedInput, VersionedOutput> = {
  name: 'versioned',
  initial: null,
  partition: (input) => input.key,
  fingerprint: (state) => (state === null ? '' : `${state.revision}:${state.value}`),
  step(state, input, output) {
    if (input.op === 'get') return output === undefined ? state : seen(state, output.entry ?? null);
    const { ifRevision } = input;
    const now = state === null ? 0 : state.revision;
    if (output?.conflict === true) return ifRevision === now ? undefined : state;
    // After a lost answer the revision is not known: any but 0 may be it.
    if (ifRevision !== undefined && (now === null ? ifRevision === 0 : ifRevision !== now))
      return undefined;
    if (input.op === 'put') return { value: input.value ?? '', revision: output?.revision ?? null };
    return output?.deleted === undefined || output.deleted === (state !== null) ? null : undefined;
  },
};

function seen(
  state: VersionedState | null,
  entry: VersionedState | null,
): VersionedState | null | undefined {
  if (state === null || entry === null) return state === entry ? state : undefined;
  if (entry.value !== state.value) return undefined;
  return state.revision === null || state.revision === entry.revision ? entry : undefined;
}
