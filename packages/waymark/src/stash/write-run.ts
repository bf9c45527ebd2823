import type { StashAcknowledged } from '../core/stash.js';
import { WaymarkError } from '../core/errors.js';
import type { Batch } from './batch.js';
import { Failures, isStale } from './outcome.js';
import { PackedCursor, Packer } from './packed.js';
import type { Routes } from './routes.js';
import type { Run } from './run.js';
import type { Places } from './told.js';

/**
 * One write of a batch (rules D3.1 and D3.2). Each entry goes to all its replicas, those for one node as one block, and is acknowledged when enough of them have it
 * flushed.
 */

export interface WriteParts {
  readonly routes: Routes;
  readonly index: string;
  /** Of entries that are stamped. */
  readonly batch: Batch;
  readonly deadlineMs: number;
  /** Another one of the same caller follows at once. */
  readonly more: boolean;
}

/** A replica holds something newer than what was to be written: it is to be stamped anew, above this. */
export class Overtaken extends Error {
  readonly stamp: number;

  constructor(stamp: number) {
    super('a replica holds something newer');
    this.stamp = stamp;
  }
}

export class WriteRun implements Run<StashAcknowledged> {
  readonly done: Promise<StashAcknowledged>;
  readonly #parts: WriteParts;
  readonly #confirmed: Uint8Array;
  /** While data moves: by how many of the other placement. */
  readonly #confirmedAlso: Uint8Array;
  readonly #failures = new Failures();
  /** Who has which places flushed, and who does not. */
  readonly #had: Told[] = [];
  readonly #missed: Told[] = [];
  #underWay = 0;
  #over = false;
  #resolve: (acknowledged: StashAcknowledged) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(parts: WriteParts) {
    const { count } = parts.batch;
    this.#parts = parts;
    this.#confirmed = new Uint8Array(count);
    this.#confirmedAlso = new Uint8Array(count);
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    for (const [link, places] of this.#groups()) this.#tell(link, places);
  }

  /** Whether any of it may be on a disk, however it ended. */
  get mayShow(): boolean {
    return this.#had.length > 0 || this.#underWay > 0 || !this.#failures.allCertain;
  }

  /** Whether a node refused it for its stamps: all else was looked at before it was sent. */
  get isAhead(): boolean {
    return this.#failures.has('invalid');
  }

  late(): void {
    this.#fail(this.#tooFew());
  }

  abandon(reason: unknown): void {
    const why = 'a write was given up after it was sent: it may show later';
    this.#fail(new WaymarkError('uncertain', why, {}, reason));
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#reject(error);
  }

  #tooFew(): WaymarkError {
    const { routes, index } = this.#parts;
    const { writeQuorum, replicas } = routes;
    const what = `a write to '${index}' was not confirmed by ${writeQuorum} of ${replicas} replicas`;
    return this.mayShow ? this.#failures.uncertain(what) : this.#failures.refused(what);
  }

  #groups(): Map<number, Places> {
    const { routes, batch } = this.#parts;
    const { count, partitions } = batch;
    if (routes.everywhere) {
      return new Map(routes.links.map((_, link) => [link, batch.all]));
    }
    const groups = new Map<number, number[]>();
    for (let place = 0; place < count; place++) {
      for (const link of this.#writtenTo(partitions[place] as number)) {
        const group = groups.get(link);
        if (group === undefined) groups.set(link, [place]);
        else group.push(place);
      }
    }
    return groups;
  }

  #keepers(partition: number): number[] {
    const { routes } = this.#parts;
    return Array.from({ length: routes.replicas }, (_, rank) => routes.nearest(partition, rank));
  }

  #writtenTo(partition: number): Iterable<number> {
    const { also } = this.#parts.routes;
    const keepers = this.#keepers(partition);
    return also === null ? keepers : new Set([...keepers, ...also.of(partition)]);
  }

  #tell(link: number, places: Places): void {
    const { routes, index, deadlineMs, more } = this.#parts;
    const ask = { epoch: routes.epoch, index, entries: this.#parts.batch.blockOf(places), more };
    this.#underWay++;
    const answer = routes.links[link]?.run((node) => node.write(ask, { withinMs: deadlineMs }));
    answer?.then(
      (newer) => this.#answered(link, places, newer),
      (error: unknown) => this.#refused(link, places, error),
    );
  }

  /** Once all have answered, who has what another one missed takes note of it (rule D5.5): nobody waits for that. */
  #hint(): void {
    if (this.#underWay > 0) return;
    const { routes, index } = this.#parts;
    for (const { link: absent, places } of this.#missed.splice(0)) {
      const node = routes.links[absent]?.id ?? '';
      const left = new Set(Array.from(places));
      for (const { link, places: held } of this.#had) {
        const both = Array.from(held).filter((place) => left.delete(place));
        if (both.length === 0) continue;
        const ask = { epoch: routes.epoch, index, node, keys: this.#keysAt(both) };
        routes.links[link]?.run((one) => one.hint(ask)).catch(() => undefined);
      }
    }
  }

  #keysAt(places: Places): Uint8Array {
    const cursor = new PackedCursor(this.#parts.batch.block);
    const packer = new Packer();
    const wanted = new Set(Array.from(places));
    for (let place = 0; !cursor.done; place++) {
      cursor.nextKey();
      if (wanted.has(place)) packer.copy(cursor.block, cursor.start, cursor.end);
      cursor.nextVersion();
    }
    return packer.take();
  }

  #answered(link: number, places: Places, newer: number): void {
    this.#underWay--;
    if (newer > 0) return this.#fail(new Overtaken(newer));
    this.#had.push({ link, places });
    this.#count(link, places);
    this.#settle();
  }

  #refused(link: number, places: Places, error: unknown): void {
    this.#underWay--;
    if (isStale(error)) return this.#fail(error);
    this.#failures.add(this.#parts.routes.links[link]?.id ?? '', error);
    this.#missed.push({ link, places });
    this.#settle();
  }

  #count(link: number, places: Places): void {
    const { routes, batch } = this.#parts;
    const { also } = routes;
    if (also === null) return add(this.#confirmed, places);
    const of = (owners: (partition: number) => readonly number[]): number[] =>
      Array.from(places).filter((place) =>
        owners(batch.partitions[place] as number).includes(link),
      );
    add(
      this.#confirmed,
      of((partition) => this.#keepers(partition)),
    );
    add(
      this.#confirmedAlso,
      of((partition) => also.of(partition)),
    );
  }

  /** Where it cannot be acknowledged any more, the others are waited for: whether it was written at all depends on them. */
  #settle(): void {
    if (this.#over) return this.#hint();
    const { routes } = this.#parts;
    const flushed = least(this.#confirmed);
    const { also } = routes;
    const both = also === null || least(this.#confirmedAlso) >= also.writeQuorum;
    if (flushed >= routes.writeQuorum && both) {
      this.#over = true;
      this.#resolve({ replicas: routes.replicas, flushed });
      this.#hint();
    } else if (this.#underWay === 0) this.#fail(this.#tooFew());
  }
}

interface Told {
  readonly link: number;
  readonly places: Places;
}

function least(counts: Uint8Array): number {
  return counts.reduce((fewest, some) => Math.min(fewest, some), 255);
}

function add(counts: Uint8Array, places: Places): void {
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number;
    counts[place] = (counts[place] as number) + 1;
  }
}
