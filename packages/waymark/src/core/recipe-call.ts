import type { Clock, Random } from './clock.js';
import type { ByteString, CallOptions, Engine, LeaseId } from './engine.js';
import type { Shape } from './shape.js';
import type { StashDesk } from './stash.js';
import type { WatcherDesk } from './watchers.js';

/** What a recipe runs over: one namespace of a host. */
export interface RecipeGround {
  /** The namespace's keys, facet first. */
  readonly engine: Engine;
  readonly namespace: string;
  /** The whole engine, by which hosts of one process know that they share it. Not to be read or written. */
  readonly root: object;
  /** What the namespace lies in, and its prefix there: for plans that name whole keys, as each layer between shows when one wakes another. */
  readonly beneath: { readonly engine: Engine; readonly prefix: ByteString };
  readonly clock: Clock;
  readonly random: Random;
  /** Where other hosts of this engine are reached. */
  readonly peers: Peers;
  /** Where inboxes are written down, where that is not the engine at hand. */
  readonly inboxes?: Inboxes | undefined;
  /** The registry of watches, where they are delivered. */
  readonly watchers?: WatcherDesk | undefined;
  /** Who coordinates the stash. */
  readonly stash?: StashDesk | undefined;
  /** What a recipe keeps for this namespace between its calls: made by the first that asks. */
  remember<T>(key: symbol, make: () => T): T;
}

/** A member and the lease it stands under. */
export interface Stay {
  readonly group: string;
  readonly member: string;
  readonly lease: LeaseId;
}

/** Where it is written down where members take their messages. */
export interface Inboxes {
  /** @throws {WaymarkError} `lost` when the member does not stand under this lease, or no more */
  note(stay: Stay): Promise<void>;
  /** @returns false when there was none. @throws {WaymarkError} `lost` when another stay of the member has one by now */
  forget(stay: Stay): Promise<boolean>;
  /** Resolves when the member is no more; rejects when that cannot be told. */
  gone(stay: Stay, signal: AbortSignal): Promise<void>;
}

export interface PeerCall extends CallOptions {
  /** Without a connection by then it is `unavailable`. */
  readonly withinMs: number;
}

/** Other hosts over the same engine, and members that listen. */
export interface Peers {
  /** Where others reach this host; undefined when they cannot. */
  readonly address: string | undefined;
  /** Runs a call at another host. @throws {WaymarkError} `unavailable` when it was not sent, `uncertain` when it may have run */
  run<Args, Result>(
    address: string,
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options: PeerCall,
  ): Promise<Result>;
}

/**
 * One call of a recipe, written down once: how it runs over an engine, and what its arguments and result look like on the wire. A host
 * in this process runs it; a server's clients send it there.
 */
export interface RecipeCall<Args, Result> {
  /** `recipe.verb`, for people. */
  readonly name: string;
  /** From 0x60 to 0xdf; never given to another call. */
  readonly verb: number;
  readonly args: Shape<Args>;
  readonly result: Shape<Result>;
  /** What becomes of it when the connection breaks after it was sent: see `Method`. */
  readonly whenBroken: 'retry' | 'uncertain';
  /** Waits for others: it has no deadline but its own, and an abort is told to whoever runs it. Default false. */
  readonly waits?: boolean;
  /** Of a call that waits: it is aborted when its caller's connection ends. Default false: who vanished keeps its place in a queue as long as its lease. */
  readonly endsWithCaller?: boolean;
  /**
   * Gives back what the call gave to a caller who had stopped waiting.
   *
   * @param result  undefined where no answer came
   */
  readonly undo?: (args: Args) => Undo;
  /** Checks its arguments first: this is the trust boundary. */
  readonly run: (ground: RecipeGround, args: Args, options?: CallOptions) => Promise<Result>;
}

/** A call and what it is called with. */
export interface Undo {
  // oxlint-disable-next-line typescript/no-explicit-any -- its own arguments go with it
  readonly call: RecipeCall<any, unknown>;
  readonly args: unknown;
}

/** Fixes the types of a call where it is written down. */
export function recipeCall<Args, Result>(
  definition: RecipeCall<Args, Result>,
): RecipeCall<Args, Result> {
  return definition;
}
