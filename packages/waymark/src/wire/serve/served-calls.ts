import type { Batch, CallOptions } from '../../core/engine.js';
import { leftToLease, WaymarkError } from '../../core/errors.js';
import type { Method } from '../method.js';
import type { Claim } from './claims.js';
import { cancelled } from './refusals.js';

/** It goes on; it is aborted; or it is, and what it waits with is left to its lease, for a client that comes back. */
export type WhenGone = 'goes on' | 'ends' | 'left';

/** @returns why a call is aborted whose client has vanished; null: it goes on */
export function reasonWhenGone({ whenGone }: PlainCall): WaymarkError | null {
  if (whenGone === 'left') return leftToLease;
  return whenGone === 'ends' ? cancelled : null;
}

/** A call answered once. */
export interface PlainCall {
  readonly kind: 'plain';
  readonly method: Method<unknown, unknown>;
  readonly run: (args: unknown, options?: CallOptions) => Promise<unknown>;
  /** Can wait for long: it gets a signal. */
  readonly waits: boolean;
  /** What becomes of a call that waits when its client vanishes. */
  readonly whenGone?: WhenGone | undefined;
  /** It is never refused for too much work: it keeps alive what is there, or gives it back. */
  readonly urgent?: boolean | undefined;
  /** What it does to what its client has. */
  readonly claim?: Claim | undefined;
  /** How many plain reads and writes it costs, about: see `Intake`. */
  readonly weight: number;
}

/** Recipes make several commits, or large ones. */
const recipeWeight = 8;

/** A watch: batches until it ends. */
export interface WatchCall {
  readonly kind: 'watch';
  readonly method: Method<unknown, unknown>;
  readonly open: (args: unknown, options: CallOptions) => AsyncIterable<Batch>;
}

/** Listens, and answers when there is something to tell. @returns stops listening */
export interface ListenCall {
  readonly kind: 'listen';
  readonly method: Method<unknown, unknown>;
  readonly listen: (args: unknown, answer: (result: unknown) => void) => () => void;
}

export type ServedCall = PlainCall | WatchCall | ListenCall;

/** What each verb does, by its number. A verb that is not there ends the connection. */
export type CallTable = readonly (ServedCall | undefined)[];

/** Of two calls with one verb the later one counts. */
export function tableOf(calls: Iterable<ServedCall>): CallTable {
  const table: (ServedCall | undefined)[] = [];
  for (const call of calls) table[call.method.verb] = call;
  return table;
}

/** How each kind of call is written down. */
export const serve = { plain, urgent, recipe, waiting, watch, listen, refused, claiming };

function plain<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
): ServedCall {
  return { kind: 'plain', method, run, waits: false, weight: 1 } as unknown as PlainCall;
}

function urgent<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
): ServedCall {
  return { ...plain(method, run), urgent: true } as ServedCall;
}

function recipe<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
  isUrgent = false,
): ServedCall {
  const call = { kind: 'plain', method, run, waits: false, weight: recipeWeight, urgent: isUrgent };
  return call as unknown as PlainCall;
}

function waiting<A, R>(
  method: Method<A, R>,
  run: (args: A, options?: CallOptions) => Promise<R>,
  whenGone: WhenGone = 'goes on',
): ServedCall {
  const call = { kind: 'plain', method, run, waits: true, whenGone, weight: recipeWeight };
  return call as unknown as PlainCall;
}

function watch<A, R>(
  method: Method<A, R>,
  open: (args: A, options: CallOptions) => AsyncIterable<Batch>,
): ServedCall {
  return { kind: 'watch', method, open } as unknown as WatchCall;
}

function listen<A, R>(
  method: Method<A, R>,
  start: (args: A, answer: (result: R) => void) => () => void,
): ServedCall {
  return { kind: 'listen', method, listen: start } as unknown as ListenCall;
}

function refused(method: Method<unknown, unknown>, why: string): ServedCall {
  return plain(method, () => Promise.reject(new WaymarkError('denied', `${method.name}: ${why}`)));
}

function claiming(claim: Claim, call: ServedCall): ServedCall {
  return { ...call, claim } as ServedCall;
}
