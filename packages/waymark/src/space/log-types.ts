import type { Revision } from '../core/engine.js';
import type { HoldProof } from '../core/host.js';
import type { Call, Page } from './types.js';

/** One entry of a log; it never changes. */
export interface LogEntry<T> {
  /** 1 for the first of all, then one more for each: none is left out, none given twice. */
  readonly position: number;
  readonly value: T;
  readonly author: string;
  /** Wall clock of the host that wrote it, ms since 1970: for people; positions tell the order. */
  readonly at: number;
  readonly revision: Revision;
}

export interface AppendCall extends Call {
  /** Unique per entry, 1 to 64 of `A–Z a–z 0–9 _ -`: an append that is repeated with it finds the entry. Default: a new one. */
  readonly id?: string | undefined;
  /** At most 256 bytes; default the space's owner name. */
  readonly author?: string | undefined;
  /** Only while this lock or term stands; `lost` else. What was appended with the id before is told all the same. */
  readonly hold?: HoldProof | undefined;
}

export interface Appended {
  readonly position: number;
  readonly at: number;
  readonly revision: Revision;
  /** An append with this id was there already: nothing was written now. */
  readonly repeated: boolean;
}

export interface LogReadCall extends Call {
  /** 1 to 1 000, default 100. */
  readonly limit?: number | undefined;
  /** Default 'newest': the newest entry comes first. */
  readonly from?: 'newest' | 'oldest' | undefined;
  /** Go on after this position, in the direction of reading: the last of the page before. */
  readonly after?: number | undefined;
}

/** What a log keeps; what is absent sets no bound. */
export interface LogRetention {
  /** At most so many entries, from 1. */
  readonly entries?: number | undefined;
  /** No entry older than this, by the wall clock of the host that appends; looked at with every append. */
  readonly ageMs?: number | undefined;
}

export interface LogInfo extends LogRetention {
  /** The oldest position that is kept; `next` when none is. */
  readonly first: number;
  /** The position the next entry gets. */
  readonly next: number;
}

/** Entries in the order in which they were appended, each with a position; what is written is never changed. */
export interface Log<T = unknown> {
  readonly path: string;
  /**
   * @throws {WaymarkError} `too_large`, `invalid` before any work; `overloaded` when 10 000 appends wait; `uncertain` when it may have been
   *   written: repeat it with the same id
   * @see docs/spec/recipes.md J1–J4
   */
  append(value: T, call?: AppendCall): Promise<Appended>;
  /** @returns null when there is none */
  latest(call?: Call): Promise<LogEntry<T> | null>;
  read(call?: LogReadCall): Promise<Page<LogEntry<T>>>;
  /** All that is there, oldest first, a page at a time: entries that come meanwhile are in it. */
  all(call?: Call & { readonly after?: number | undefined }): AsyncIterableIterator<LogEntry<T>>;
  /**
   * Every entry after the position `after`, as they come; default: those that come from now on. No entry is left out.
   *
   * @throws {WaymarkError} `compacted` when retention dropped what comes next; `future_revision` for a position that does not exist
   *   yet; `superseded` when the log began anew
   */
  watch(call?: Call & { readonly after?: number | undefined }): AsyncIterableIterator<LogEntry<T>>;
  info(call?: Call): Promise<LogInfo>;
  /** Sets what is kept, for all who append, and drops the rest from the oldest end. `{}` keeps everything. */
  retain(retention: LogRetention, call?: Call): Promise<LogInfo>;
}
