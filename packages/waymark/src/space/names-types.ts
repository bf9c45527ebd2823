import type { LeaseId, Revision } from '../core/engine.js';
import type { Call, Hold, KeptLease } from './types.js';

export interface NamesOptions {
  /** Keep the first of names that stand twice. Default false: they are refused (`invalid`). */
  readonly dropDuplicates?: boolean | undefined;
}

/** Who is called what. */
export interface NameClaim {
  readonly name: string;
  /** In the list, from 0. */
  readonly position: number;
  readonly owner: string;
  /** The claim's generation: it grows with every claim of this name. */
  readonly token: number;
  readonly lease: LeaseId;
}

/** All claims at one revision. */
export interface NamesView {
  readonly revision: Revision;
  /** Names in the list; 0 as long as nobody has claimed one. */
  readonly size: number;
  /** In the order of the list. */
  readonly members: readonly NameClaim[];
  /** Names that nobody has and that are kept for who had them (`graceMs`). */
  readonly kept: readonly Pick<NameClaim, 'name' | 'position' | 'owner'>[];
  /** Owners that wait for a name, in the order in which they will be served. */
  readonly waiting: readonly string[];
}

/** The claims after a change, and the change. */
export interface NamesChange {
  readonly revision: Revision;
  readonly members: readonly NameClaim[];
  /** What was claimed since the step before; all of them in the first step. */
  readonly claimed: readonly NameClaim[];
  /** What was released, or ended with its lease. */
  readonly freed: readonly NameClaim[];
}

/** A name while it is one's own. Its token is the generation of the claim. */
export interface Name extends Hold {
  readonly name: string;
  /** In the list, from 0. */
  readonly position: number;
  readonly owner: string;
}

export interface ClaimCall extends Call {
  /** The name ends with this lease of yours (`space.lease`). Default: with one that this process keeps. */
  readonly lease?: KeptLease | undefined;
  /** Without `lease`: how long the claim outlives a silent process; 1 000 to 31 536 000 000, default 10 000. */
  readonly ttlMs?: number | undefined;
  /** Without `lease`: default true. False: the claim ends by itself ttlMs after it was granted. */
  readonly renew?: boolean | undefined;
  /** Wait in line for a name when none is free. Default false: `exhausted`. */
  readonly wait?: boolean | undefined;
  /** Wait, and give up (`timeout`) after so long. */
  readonly waitMs?: number | undefined;
  /**
   * The name is kept for its owner, by its name alone, for at least so long after its lease has ended, and for at most half as long again as TTL
   * and grace together. Up to 1 year. Default: not kept. A release keeps nothing. The owner's next claim gets it, also while the
   * lease of its former life still runs: what it held is then lost.
   */
  readonly graceMs?: number | undefined;
}

/** Names for processes: few, recycled, each with one owner at a time. */
export interface Names {
  readonly path: string;
  /**
   * Claims the lowest free name for `owner`. Who has one under the same lease is answered with that one: asking twice is safe.
   *
   * @param owner  1 to 256 bytes, without NUL
   * @throws {WaymarkError} `exhausted` when every name is claimed, kept, or promised to who waits; `timeout`; `lost` when the lease ended;
   * `conflict` when another list is in use at this path; `invalid`, `too_large`; `unavailable` and `uncertain` when the engine is out of reach
   * @see docs/spec/recipes.md A1–A10
   */
  claim(owner: string, call?: ClaimCall): Promise<Name>;
  /** One read, at one revision. */
  members(call?: Call): Promise<NamesView>;
  /** The claims as they are, then after every change. After a compaction it has not seen, one step with the difference. */
  watch(call?: Call): AsyncIterableIterator<NamesChange>;
}
