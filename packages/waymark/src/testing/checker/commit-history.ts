import type { Call } from './linearizable.js';

/** One change as the log tells it. */
export interface LoggedChange {
  readonly revision: number;
  readonly key: string;
  readonly kind: 'put' | 'delete' | 'expire';
  /** Empty for a delete. */
  readonly value: string;
  /** Writes since creation; 0 for a delete. */
  readonly version: number;
  /** 0 for a delete. */
  readonly createRevision: number;
}

export interface KnownEntry {
  readonly value: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
}

export type CommitStep =
  | { readonly op: 'get'; readonly key: string }
  | { readonly op: 'put'; readonly key: string; readonly value: string }
  | { readonly op: 'delete'; readonly key: string };

/** When each key's revision is as told (0: absent), `apply`, else `otherwise`. Written values are unique in a history. */
export interface CommitInput {
  readonly when?: readonly { readonly key: string; readonly revision: number }[];
  readonly apply: readonly CommitStep[];
  readonly otherwise?: readonly CommitStep[];
}

export interface CommitOutput {
  /** Absent where the answer has none: a refused condition. */
  readonly revision?: number | undefined;
  readonly succeeded: boolean;
  /** One per step of the branch: for a get what it saw, for a delete how many, null for a put. Absent where the answer has none. */
  readonly results?: readonly (KnownEntry | number | null)[] | undefined;
}

export type CommitCall = Call<CommitInput, CommitOutput>;
