import { alarmType } from 'waymark/etcd';
import type { Engine, Operation, Txn } from 'waymark/engine';
import { Alarms } from './alarms.js';
import { etcdError } from './errors.js';
import type { Followed } from './follow.js';
import { Usage } from './usage.js';

/** What etcd reckons a lease takes. */
const leaseBytes = 64;

/**
 * Refuses what would pass the quota of a namespace, and from then on all that puts: the alarm stays until someone deactivates it. Deletes and
 * compactions go on, to make room. What is written at the same moment, or by other servers, may pass the quota by as much.
 */
export class Quota {
  readonly alarms: Alarms;
  readonly #bytes: number | undefined;
  readonly #usage: Usage | null;
  readonly #memberId: bigint;
  #following: Promise<unknown> | undefined;

  /** @param bytes  each namespace may take so many; undefined: there is no limit, only alarms */
  constructor(engine: Engine, memberId: bigint, bytes: number | undefined) {
    this.alarms = new Alarms(engine);
    this.#usage = bytes === undefined ? null : new Usage(engine);
    this.#bytes = bytes;
    this.#memberId = memberId;
  }

  /** Resolves when all is known that it judges by; keeps that up until the server stops. */
  async follow(parts: Pick<Followed, 'clock' | 'stopping'>): Promise<void> {
    await Promise.all([this.alarms.load(), this.#usage?.load()]);
    this.#following = Promise.all([this.alarms.follow(parts), this.#usage?.follow(parts)]);
  }

  /** Resolves when it no longer asks the engine anything; the server stops. */
  async closed(): Promise<void> {
    await this.#following;
  }

  /** The bytes a namespace takes; undefined where nobody counts them. */
  used(namespace: string): number | undefined {
    return this.#usage?.of(namespace);
  }

  /** @throws {GrpcError} `database space exceeded`, `corrupt cluster`. @returns undefined: it may be written at once */
  admit(namespace: string, txn: Txn): Promise<void> | undefined {
    if (this.#usage === null && this.alarms.none) return undefined;
    return writes(txn) ? this.#admit(namespace, putBytes(txn)) : undefined;
  }

  /** As `admit`, for a new lease. */
  async admitLease(namespace: string): Promise<void> {
    await this.#admit(namespace, leaseBytes);
  }

  /** What takes no room, and still writes. @throws {GrpcError} `corrupt cluster` */
  admitChange(namespace: string): void {
    if (this.alarms.raised(namespace, alarmType.corrupt)) throw etcdError('corrupt');
  }

  async #admit(namespace: string, bytes: number): Promise<void> {
    const { alarms } = this;
    this.admitChange(namespace);
    if (bytes === 0) return;
    if (alarms.raised(namespace, alarmType.noSpace)) throw etcdError('noSpace');
    if (this.#bytes === undefined || (this.used(namespace) ?? 0) + bytes <= this.#bytes) return;
    await alarms.activate(namespace, { type: alarmType.noSpace, memberId: this.#memberId });
    throw etcdError('noSpace');
  }
}

function writes({ apply = [], otherwise = [] }: Txn): boolean {
  return [...apply, ...otherwise].some((operation) =>
    operation.type === 'txn' ? writes(operation.txn) : operation.type !== 'read',
  );
}

/** The most that a branch of it puts. */
function putBytes({ apply, otherwise }: Txn): number {
  return Math.max(sum(apply), sum(otherwise));
}

function sum(operations: readonly Operation[] = []): number {
  let bytes = 0;
  for (const operation of operations) {
    if (operation.type === 'txn') bytes += putBytes(operation.txn);
    // The letter of the facet is none of the client's.
    else if (operation.type === 'put') bytes += operation.key.length - 1 + operation.value.length;
  }
  return bytes;
}
