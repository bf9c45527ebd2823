import { setMaxListeners } from 'node:events';
import { Bell, type Clock, pause, type Random } from 'waymark/engine';
import type { Known, StashPeer, ViewWatch } from 'waymark/stash';
import type { StashStore } from '../store.js';
import { differing } from './compare.js';
import { Conflicts } from './conflicts.js';
import { inTurns, isPassing } from './in-turns.js';
import { type Placed, placedBy } from './placed.js';
import { purgeDue } from './purge.js';
import { reconcile, type ReconcileParts } from './reconcile.js';
import { scrub } from './scrub.js';
import { isOwnToCompare, sharedWith } from './shared-with.js';
import { tellMissed } from './tell-missed.js';

export interface RepairOptions {
  /** From one look at all peers to the next. Default 15 000. */
  readonly everyMs?: number | undefined;
  /** What repair reads and sends at most, in bytes a second. Default 33 554 432. */
  readonly bytesPerSecond?: number | undefined;
  /** Time from a difference being seen to its being looked into: what is being written may be on one replica alone. Default 1 000. */
  readonly settleMs?: number | undefined;
}

export interface RepairParts {
  readonly store: StashStore;
  readonly views: ViewWatch;
  readonly peerOf: (id: string, known: Known) => StashPeer;
  readonly clock: Clock;
  readonly random: Random;
  readonly warned: (message: string, error?: unknown) => void;
}

/** What repair did since the node was started. */
export interface RepairFigures {
  /** Looks at all peers that are over. */
  rounds: number;
  /** Looks at a peer that was there. */
  compared: number;
  /** Partitions that were found different. */
  differing: number;
  fetched: number;
  pushed: number;
  /** Partitions whose tombstones went. */
  purged: number;
  /** Keys that peers were told they had missed. */
  hinted: number;
}

/** A peer that does not answer is left alone so long, twice as long each time. */
const awayMs = { first: 1_000, max: 30_000 };
const everyMsDefault = 15_000;
const bytesPerSecondDefault = 33_554_432;
const settleMsDefault = 1_000;

/**
 * Keeps this node's replicas the same as others' (rules D5.1 to D5.5), in rounds: with each peer it compares half of the partitions that both keep, the peer compares the other half; so no pair does the same
 * twice. While the space is away the last view holds.
 */
export class Repair {
  readonly figures: RepairFigures = {
    ...{ rounds: 0, compared: 0, differing: 0, fetched: 0, pushed: 0, purged: 0, hinted: 0 },
  };
  readonly #parts: RepairParts;
  readonly #options: RepairOptions;
  readonly #stop = new AbortController();
  readonly #away = new Map<string, { readonly until: number; readonly ms: number }>();
  readonly #conflicts = new Conflicts();
  readonly #running: Promise<void>;
  #placed: Placed | null = null;
  readonly #bell = new Bell();
  #woken = false;
  #begun = 0;
  #comparedAt: number | null = null;
  #alive: ReadonlySet<string> = new Set();
  #scrubbed = 0;

  constructor(parts: RepairParts, options: RepairOptions = {}) {
    this.#parts = parts;
    this.#options = options;
    setMaxListeners(0, this.#stop.signal);
    this.#running = this.#run();
  }

  /** Since a round in which every other replica answered; null: there was none yet. */
  get comparedMs(): number | null {
    return this.#comparedAt === null ? null : this.#parts.clock.now() - this.#comparedAt;
  }

  /** Begins a round now, or as soon as the present one is over. @returns what `rounds` will be when it is over */
  look(): number {
    this.#away.clear();
    this.#wake();
    return this.#begun + 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('repair stops'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, random, views, warned } = this.#parts;
    const listening = views.listen((known) => this.#heard(known));
    while (!signal.aborted) {
      this.#woken = false;
      this.#begun++;
      try {
        await this.round();
      } catch (error) {
        if (!signal.aborted) warned('comparing replicas failed: it is tried again', error);
      }
      this.figures.rounds++;
      const ms = (this.#options.everyMs ?? everyMsDefault) * (0.75 + random.next() / 2);
      await this.#bell.until(() => this.#woken, { clock, ms, signal });
    }
    listening();
  }

  /** Who comes back is looked at without delay. */
  #heard(known: Known): void {
    const ids = known.view?.view.nodes.map(({ id }) => id) ?? [];
    const alive = new Set(ids.filter((id) => known.isAlive(id)));
    const back = [...alive].filter((id) => !this.#alive.has(id) && id !== this.#parts.store.id);
    this.#alive = alive;
    for (const id of back) this.#away.delete(id);
    if (back.length > 0) this.#wake();
  }

  #wake(): void {
    this.#woken = true;
    this.#bell.ring();
  }

  /** One look at all peers. */
  async round(): Promise<void> {
    const { store, views, random } = this.#parts;
    const { signal } = this.#stop;
    const known = views.last ?? (await views.known({ signal }));
    const placed = placedBy(known, this.#placed);
    if (placed === null) return;
    this.#placed = placed;
    const { placement } = placed;
    const own = placement.nodes.findIndex(({ id }) => id === store.id);
    if (own < 0) return;
    const shared = sharedWith(placement, own);
    await this.#workOut(shared.own);
    const others = [...shared.others].sort(() => random.next() - 0.5);
    let all = true;
    for (const [position, partitions] of others) {
      const { id } = placement.nodes[position] as { readonly id: string };
      await this.#attend(id, known, (peer) => this.#compare({ id, peer, partitions, placed }));
      all &&= !this.#away.has(id);
    }
    if (all) this.#comparedAt = this.#parts.clock.now();
    await this.#mendSuspects(known, placed, shared.others);
    await this.#purge(known, placed, own);
    await scrub(shared.own[this.#scrubbed++ % shared.own.length] ?? 0, store);
    for (const node of store.hints.nodes()) {
      const isPlaced = [...placement.nodes, ...(known.view?.view.also?.nodes ?? [])].some(
        ({ id }) => id === node,
      );
      if (!isPlaced) await store.hints.forget(node);
    }
  }

  /** What no replica can bring back, once all of them are there. */
  async #purge(known: Known, { epoch, placement, moving }: Placed, own: number): Promise<void> {
    const { store, peerOf } = this.#parts;
    const replicasOf = (partition: number): StashPeer[] | null => {
      if (moving || placement.at(partition, 0) !== own) return null;
      const others = placement.of(partition).slice(1);
      if (!others.every(({ id }) => known.isAlive(id))) return null;
      return others.map(({ id }) => peerOf(id, known));
    };
    const { signal } = this.#stop;
    const purged = await purgeDue({ store, epoch, signal, replicasOf });
    this.figures.purged += purged;
  }

  /** Digests that are not known, after an unclean end: half of the time is left to others. */
  async #workOut(partitions: readonly number[]): Promise<void> {
    const { store, clock } = this.#parts;
    const { signal } = this.#stop;
    for (const one of partitions) {
      if (store.partitions.knownDigest(one) !== null) continue;
      const began = clock.now();
      await store.partitions.digest(one);
      await pause(clock, clock.now() - began, signal);
    }
  }

  /** Asks a peer, unless it was away a moment ago. */
  async #attend(
    id: string,
    known: Known,
    ask: (peer: StashPeer) => Promise<unknown>,
  ): Promise<void> {
    const { clock, peerOf, warned } = this.#parts;
    const away = this.#away.get(id);
    if (away !== undefined && clock.now() < away.until) return;
    try {
      await ask(peerOf(id, known));
      this.#away.delete(id);
    } catch (error) {
      if (this.#stop.signal.aborted) throw error;
      const ms = Math.min(awayMs.max, away === undefined ? awayMs.first : away.ms * 2);
      this.#away.set(id, { until: clock.now() + ms, ms });
      if (isPassing(error)) return;
      warned(`replicas could not be compared with those of node ${id}`, error);
    }
  }

  async #compare(asked: {
    readonly id: string;
    readonly peer: StashPeer;
    readonly partitions: readonly number[];
    readonly placed: Placed;
  }): Promise<void> {
    const { store, clock } = this.#parts;
    const { id, peer, placed } = asked;
    const parts = this.#reconcileParts(peer, placed);
    const leaveOut = this.#conflicts.leaveOut.bind(this.#conflicts);
    await tellMissed(id, parts, { placed, leaveOut, figures: this.figures });
    const first = asked.partitions.filter((one) => isOwnToCompare(one, store.id, id));
    const seen = await differing(first, parts);
    this.figures.compared++;
    if (seen.length === 0) return;
    await pause(clock, this.#options.settleMs ?? settleMsDefault, parts.signal);
    const still = await differing(seen, parts);
    this.figures.differing += still.length;
    await inTurns(still, (one) => this.#reconcile(id, one, parts));
  }

  /** @returns `orphans` of it, where it was done */
  async #reconcile(
    id: string,
    partition: number,
    parts: ReconcileParts,
  ): Promise<readonly string[]> {
    let orphans: readonly string[] = [];
    await this.#conflicts.leaveOut(`${id} ${partition}`, async () => {
      const done = await reconcile(partition, parts);
      this.figures.fetched += done.fetched;
      this.figures.pushed += done.pushed;
      ({ orphans } = done);
    });
    return orphans;
  }

  /** Damage does not show in digests: the partition is compared whatever they say. */
  async #mendSuspects(
    known: Known,
    placed: Placed,
    others: ReadonlyMap<number, readonly number[]>,
  ): Promise<void> {
    const { store } = this.#parts;
    for (const partition of [...store.suspects]) {
      let alone: readonly string[] | null = null;
      for (const [position, partitions] of others) {
        if (!partitions.includes(partition)) continue;
        const { id } = placed.placement.nodes[position] as { readonly id: string };
        let orphans: readonly string[] = [];
        await this.#attend(id, known, async (peer) => {
          orphans = await this.#reconcile(id, partition, this.#reconcileParts(peer, placed));
        });
        alone = alone === null ? orphans : alone.filter((key) => orphans.includes(key));
      }
      // While something is moved others may have it who are no replicas any more.
      if (alone !== null && !placed.moving) await store.partitions.giveUp(partition, alone);
      store.suspects.delete(partition);
      // Still there: no peer that answered has it sound.
      await scrub(partition, store);
    }
  }

  #reconcileParts(peer: StashPeer, { epoch }: Placed): ReconcileParts {
    const { store, clock } = this.#parts;
    const { signal } = this.#stop;
    const perMs = (this.#options.bytesPerSecond ?? bytesPerSecondDefault) / 1_000;
    const pace = (bytes: number): Promise<void> => pause(clock, bytes / perMs, signal);
    return { store, peer, epoch, pace, signal };
  }
}
