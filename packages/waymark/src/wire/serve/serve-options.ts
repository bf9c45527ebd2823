import type { Clock } from '../../core/clock.js';
import type { EngineStatus, LeaseId } from '../../core/engine.js';
import type { TraceContext } from '../../core/tracing.js';
import type { WaymarkError } from '../../core/errors.js';
import type { Hello } from '../hello.js';
import type { Method } from '../method.js';
import type { Admission } from './admission.js';
import type { ChangeCache } from './change-cache.js';
import type { FlushQueue } from './flush-queue.js';
import type { CallTable } from './served-calls.js';

export interface SocketLimits {
  /** Calls of one connection that wait for an answer, watches apart. Default 10 000. */
  readonly callsMax: number;
  /** Watches, and holds listened to, of one connection. Default 10 000. */
  readonly watchesMax: number;
  /** Leases that are there, of those that one connection made or took locks under. Default 10 000. */
  readonly leasesMax: number;
  /** Locks of one connection that it holds or asks for. Default 10 000. */
  readonly locksMax: number;
  /** With so many bytes unsent nothing is read and no watch is pulled. Default 1 MiB. */
  readonly bufferedBytesMax: number;
  readonly helloMsMax: number;
  readonly idleMsMax: number;
}

export const defaultSocketLimits: SocketLimits = {
  callsMax: 10_000,
  watchesMax: 10_000,
  leasesMax: 10_000,
  locksMax: 10_000,
  bufferedBytesMax: 1_048_576,
  helloMsMax: 10_000,
  idleMsMax: 30_000,
};

export type TracedCall = (
  method: Pick<Method<unknown, unknown>, 'name'>,
  parent: TraceContext | null,
  run: () => Promise<unknown>,
) => Promise<unknown>;

export interface ServeOptions {
  readonly clock: Clock;
  readonly table: CallTable;
  /** What is behind it, told to the client. Absent: nothing of its own. */
  readonly status?: (() => Promise<Pick<EngineStatus, 'engine' | 'identity'>>) | undefined;
  /** Whether the table has the raw engine verbs, told to the client. */
  readonly raw: boolean;
  /** Name and version, told to the client. */
  readonly server?: string | undefined;
  readonly limits?: Partial<SocketLimits> | undefined;
  /** Of all connections, and other faces, together. Absent: as much as comes. */
  readonly admission?: Admission | undefined;
  /** Counts a call of the client of one connection. @returns why it may not */
  readonly spend?: (() => WaymarkError | null) | undefined;
  /** How many locks are held under a lease, null when it is gone: looked up when a client has as many as it may. */
  readonly locksUnder?: ((lease: LeaseId) => Promise<number | null>) | undefined;
  /** Told of errors that are a fault of the server's: the client learns no more than that there was one. */
  readonly faulted?: ((error: unknown) => void) | undefined;
  /** Told of each call as it comes, and of each that is answered by an error. */
  readonly called?: ((method: Pick<Method<unknown, unknown>, 'verb' | 'name'>) => void) | undefined;
  readonly failed?: ((error: unknown) => void) | undefined;
  /** Runs a call where spans are made of calls. @param parent  where in a trace its client stands */
  readonly traced?: TracedCall | undefined;
  /** Shared by the connections of one port. */
  readonly changes: ChangeCache;
  readonly flushes: FlushQueue;
  /** Throws to refuse a client (`unauthenticated`, `denied`); what it returns holds for that client. */
  readonly admit?: ((hello: Hello) => ServedTo | void | Promise<void>) | undefined;
}

/** What one client is served, instead of what all are. */
export interface ServedTo {
  readonly table: CallTable;
  readonly raw: boolean;
}
