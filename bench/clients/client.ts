/** What workloads ask of a contestant. Each is as thin as its client library allows: no wrapper costs a promise more. */
export interface Client {
  put?(key: string, value: string): Promise<unknown>;
  get?(key: string): Promise<unknown>;
  /** Writes only if the key is as `expected` says (what the last cas answered; undefined: absent). */
  cas?(key: string, value: string, expected: unknown): Promise<unknown>;
  lock?(name: string): Promise<() => Promise<unknown>>;
  /** Stands for election, and answers with what resigns. */
  elect?(name: string): Promise<() => Promise<unknown>>;
  /** Takes the only permit of a semaphore, and answers with what gives it back. */
  permit?(name: string): Promise<() => Promise<unknown>>;
  grant?(): Promise<number | string>;
  renew?(id: number | string): Promise<unknown>;
  /** Number of live leases. */
  leaseCount?(): Promise<number>;
  publish?(topic: string, value: string): Promise<unknown>;
  /** Resolves once the watchers stand; `watchers` of them, each told of every value with its revision (0 when it has none). */
  subscribe?(
    topic: string,
    watchers: number,
    told: (watcher: number, value: string, revision: number) => void,
  ): Promise<void>;
  /** From now on answers whatever is asked of `subject` with what came, as so many responders. */
  respond?(subject: string, responders: number): Promise<unknown>;
  /** What asks the leader of the responders, one of them by name, or all; it is done with the last answer. */
  asker?(subject: string, whom: Whom): Promise<(body: string) => Promise<unknown>>;
  close(): Promise<unknown>;
}

/** How many respond where all are asked. */
export const scatteredTo = 50;

/** Who knows no leader has only one responder, which is both. */
export type Whom = 'leader' | 'member' | 'all';

export type Connect = (address: string) => Promise<Client>;
