import { WaymarkError } from 'waymark/engine';
import type {
  NodeHint,
  NodePage,
  NodeRead,
  NodeScan,
  NodeWrite,
  StashNode,
  ViewWatch,
} from 'waymark/stash';
import type { StashStore } from './store.js';

/** What coordinators ask of a node, over its store: as StashNode has it. */
export class StorageNode implements StashNode {
  readonly #store: StashStore;
  readonly #views: ViewWatch;

  constructor(store: StashStore, views: ViewWatch) {
    this.#store = store;
    this.#views = views;
  }

  async read({ epoch, index, keys, versionsOnly }: NodeRead): Promise<Uint8Array> {
    if (this.#store.cold) await this.#store.warm(index, keys, false);
    // Last of all: nothing is waited for between this and what is read.
    if (!this.#isPresent(epoch)) await this.follow(epoch);
    return this.#store.read(index, keys, versionsOnly);
  }

  async write({ epoch, index, entries, more }: NodeWrite): Promise<number> {
    // What is there is compared with what comes.
    if (this.#store.cold) await this.#store.warm(index, entries, true);
    // Nothing is waited for between these and the group that it goes into: whoever hears of a later view from here finds it there.
    for (;;) {
      if (!this.#store.writable) await this.#store.checkRoom();
      else if (!this.#isPresent(epoch)) await this.follow(epoch);
      else return await this.#store.write(index, entries, more);
    }
  }

  async scan({ epoch, index, ...asked }: NodeScan): Promise<NodePage> {
    if (!this.#isPresent(epoch)) await this.follow(epoch);
    const page = await this.#store.scan(index, asked);
    // It takes many turns, in which what is read may have become another node's.
    if (!this.#isPresent(epoch)) await this.follow(epoch);
    return page;
  }

  async indexes(): Promise<readonly string[]> {
    return await this.#store.indexes();
  }

  async hint({ epoch, node, index, keys }: NodeHint): Promise<void> {
    if (!this.#isPresent(epoch)) await this.follow(epoch);
    await this.#store.hint(node, index, keys);
  }

  #isPresent(epoch: number): boolean {
    return this.#views.last?.epoch === epoch;
  }

  /** Who asks by an older view placed it by what holds no more; by a newer one, that is heard of here soon. (Rule D4.6) */
  async follow(epoch: number): Promise<void> {
    const known = this.#views.last;
    if (known === null || known.epoch < epoch) {
      // While the space is away nobody can have changed it behind the back of who asks.
      await this.#views.above(epoch - 1);
    }
    const present = this.#views.last?.epoch ?? epoch;
    if (present <= epoch) return;
    const why = `epoch ${epoch} of the stash is over: this node knows ${present}`;
    throw new WaymarkError('superseded', why);
  }
}
