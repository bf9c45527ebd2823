import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import type { Batch } from './batch.js';
import { Failures, isStale } from './outcome.js';
import type { Routes } from './routes.js';
import type { Run } from './run.js';
import { agreed, type Answer, type Places, Told } from './told.js';

/**
 * One read of a batch (rules D3.3 and D3.4). Each key asks as many replicas as it takes, the nearest first: one for all it has, the others for their versions alone. Keys that ask the same
 * node go there as one block. Where a node fails, holds a record damaged or is slow, its keys ask their next replica.
 */

/** A node that is asked has so long before the next replica is asked as well. */
const hedgeMs = 250;

export interface ReadParts {
  readonly routes: Routes;
  readonly clock: Clock;
  readonly index: string;
  readonly batch: Batch;
  /** Nobody asks for values. */
  readonly keysOnly: boolean;
  /** Replicas that each key asks. */
  readonly quorum: number;
  readonly deadlineMs: number;
}

export class ReadRun implements Run<Uint8Array> {
  /** To packed findings. */
  readonly done: Promise<Uint8Array>;
  readonly #parts: ReadParts;
  readonly #told: Told;
  /** Which replicas were asked, a bit for each rank. */
  readonly #asked: Uint8Array;
  /** Whether a replica that did not fail was asked for all it has. */
  readonly #fully: Uint8Array;
  readonly #failures = new Failures();
  /** Keys from here on are not answered: a node had no room for them. */
  #cut: number;
  /** While all answers are of nodes that have all keys: none was taken apart yet. */
  #whole: Answer[] | null;
  /** What they said with one voice. */
  #agreed: Uint8Array | null = null;
  /** Keys below it with too few answers. */
  #missing: number;
  #underWay = 0;
  #fetched = false;
  #over = false;
  #resolve: (findings: Uint8Array) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(parts: ReadParts) {
    const { count } = parts.batch;
    this.#parts = parts;
    this.#told = new Told(parts.batch);
    this.#asked = new Uint8Array(count);
    this.#fully = new Uint8Array(count);
    this.#cut = count;
    this.#missing = count;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { all } = parts.batch;
    this.#whole = parts.routes.everywhere && count > 0 ? [] : null;
    for (let times = 0; times < parts.quorum; times++) {
      if (this.#whole === null) this.#askNext(all);
      else this.#askAll(all, times === 0);
    }
  }

  late(): void {
    this.#fail(this.#tooFew());
  }

  abandon(reason: unknown): void {
    this.#fail(reason);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#reject(error);
  }

  #tooFew(): WaymarkError {
    const { quorum, routes, index } = this.#parts;
    const what = `${this.#missing} keys of '${index}' had fewer answers than ${quorum} of ${routes.replicas} replicas`;
    return this.#failures.refused(what);
  }

  /** As `askNext`, where all keys have the same replicas in the same order, and asked the same so far. */
  #askAll(all: Places, full: boolean): void {
    const { routes, batch } = this.#parts;
    const link = this.#nextFor(0, batch.partitions[0] as number, silentOf(routes));
    if (link < 0) return;
    this.#asked.fill(this.#asked[0] as number);
    this.#fully.fill(1);
    this.#ask(routes, link, all, full);
  }

  /** Each key asks the nearest of its replicas that it has not asked. */
  #askNext(places: Places): void {
    const { routes, batch } = this.#parts;
    const full = new Map<number, number[]>();
    const versions = new Map<number, number[]>();
    const silent = silentOf(routes);
    for (let i = 0; i < places.length; i++) {
      const place = places[i] as number;
      const link = this.#nextFor(place, batch.partitions[place] as number, silent);
      if (link < 0) continue;
      const groups = this.#fully[place] === 0 ? full : versions;
      this.#fully[place] = 1;
      const group = groups.get(link);
      if (group === undefined) groups.set(link, [place]);
      else group.push(place);
    }
    for (const [link, group] of full) this.#ask(routes, link, group, true);
    for (const [link, group] of versions) this.#ask(routes, link, group, false);
  }

  /** Nodes that are silent come last. @returns −1 when all were asked */
  #nextFor(place: number, partition: number, silent: readonly boolean[]): number {
    const { routes } = this.#parts;
    const asked = this.#asked[place] as number;
    let next = -1;
    for (let rank = routes.replicas - 1; rank >= 0; rank--) {
      if ((asked & (1 << rank)) !== 0) continue;
      if (next < 0 || silent[routes.nearest(partition, rank)] !== true) next = rank;
    }
    if (next < 0) return -1;
    this.#asked[place] = asked | (1 << next);
    return routes.nearest(partition, next);
  }

  #ask(routes: Routes, link: number, places: Places, full: boolean): void {
    const { clock, index, keysOnly, deadlineMs } = this.#parts;
    const versionsOnly = keysOnly || !full;
    const ask = {
      epoch: routes.epoch,
      index,
      keys: this.#parts.batch.blockOf(places),
      versionsOnly,
    };
    const late = clock.after(hedgeMs, () => this.#askElsewhere(places, full));
    this.#underWay++;
    const answer = routes.links[link]?.run((node) => node.read(ask, { withinMs: deadlineMs }));
    answer?.then(
      (block) => this.#ended(late, () => this.#absorb({ link, places, block, full })),
      (error: unknown) => this.#ended(late, () => this.#failed(link, places, full, error)),
    );
  }

  #ended(disarm: () => void, take: () => void): void {
    disarm();
    this.#underWay--;
    if (this.#over) return;
    try {
      take();
      this.#settle();
    } catch (error) {
      // What a node answered makes no sense.
      this.#fail(error);
    }
  }

  #absorb(answer: Answer): void {
    const whole = this.#whole;
    if (whole === null) return this.#take(answer);
    whole.push(answer);
    if (whole.length < this.#parts.quorum) return;
    this.#agreed = agreed(whole, this.#parts.batch.count);
    if (this.#agreed === null) this.#takeWhole();
    else this.#missing = 0;
  }

  /** Key by key from here on. */
  #takeWhole(): void {
    const whole = this.#whole;
    this.#whole = null;
    for (const answer of whole ?? []) this.#take(answer);
  }

  #take(answer: Answer): void {
    const { places, link, full } = answer;
    const { quorum, routes } = this.#parts;
    const { answered, damaged } = this.#told.take(answer);
    if (answered < places.length) this.#cutAt(places[answered] as number);
    this.#missing = this.#count((place) => (this.#told.answers[place] as number) < quorum);
    if (damaged.length === 0) return;
    const { id } = routes.links[link] as { readonly id: string };
    const error = new WaymarkError('corrupt', `${damaged.length} records are damaged`);
    this.#failures.add(id, error);
    this.#askAgain(damaged, full);
  }

  #failed(link: number, places: Places, full: boolean, error: unknown): void {
    if (isStale(error)) return this.#fail(error);
    this.#failures.add(this.#parts.routes.links[link]?.id ?? '', error);
    this.#askElsewhere(places, full);
  }

  /** In place of a node that failed, or is slow. */
  #askElsewhere(places: Places, full: boolean): void {
    if (this.#over) return;
    this.#takeWhole();
    const { quorum } = this.#parts;
    const lacking = (place: number): boolean =>
      place < this.#cut &&
      ((this.#told.answers[place] as number) < quorum || this.#told.lacks(place));
    this.#askAgain(Array.from(places).filter(lacking), full);
  }

  #askAgain(places: readonly number[], full: boolean): void {
    if (full) for (const place of places) this.#fully[place] = 0;
    this.#askNext(places);
  }

  #cutAt(place: number): void {
    if (place < this.#cut) this.#cut = place;
  }

  #count(fact: (place: number) => boolean): number {
    let count = 0;
    for (let place = 0; place < this.#cut; place++) if (fact(place)) count++;
    return count;
  }

  #settle(): void {
    if (this.#agreed !== null) {
      this.#over = true;
      return this.#resolve(this.#agreed);
    }
    if (this.#missing === 0) {
      const lacking = this.#count((place) => this.#told.lacks(place));
      if (lacking === 0) return this.#finish();
      if (this.#underWay === 0 && !this.#fetched) return this.#fetch();
    }
    if (this.#underWay === 0) this.#fail(this.#tooFew());
  }

  /** Who told of a version that is newer than the values that came has the value. */
  #fetch(): void {
    this.#fetched = true;
    const groups = new Map<number, number[]>();
    for (let place = 0; place < this.#cut; place++) {
      if (!this.#told.lacks(place)) continue;
      const link = this.#told.newestAt[place] as number;
      groups.set(link, [...(groups.get(link) ?? []), place]);
    }
    for (const [link, group] of groups) this.#ask(this.#parts.routes, link, group, true);
  }

  #finish(): void {
    this.#over = true;
    this.#resolve(this.#told.findings(this.#cut));
    // Without values there is nothing to repair with.
    if (!this.#parts.keysOnly) this.#repair();
  }

  /** Nobody waits for it: what fails here is found by the next read, or by who compares replicas. */
  #repair(): void {
    const { routes, index } = this.#parts;
    for (const [link, entries] of this.#told.repairs(this.#cut)) {
      const ask = { epoch: routes.epoch, index, entries };
      routes.links[link]?.run((node) => node.write(ask)).catch(() => undefined);
    }
  }
}

/** Looked at once for all keys: it asks the clock. */
function silentOf({ links }: Routes): boolean[] {
  return links.map(({ silent }) => silent);
}
