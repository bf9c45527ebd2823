import type { Clock, Random } from '../core/clock.js';
import type { Engine } from '../core/engine.js';
import type { Peers, RecipeGround } from '../core/recipe-call.js';
import type { StashDesk } from '../core/stash.js';
import type { WatcherDesk } from '../core/watchers.js';

export class Ground implements RecipeGround {
  readonly engine: Engine;
  readonly namespace: string;
  readonly root: object;
  readonly beneath: RecipeGround['beneath'];
  readonly clock: Clock;
  readonly random: Random;
  readonly peers: Peers;
  readonly watchers: WatcherDesk | undefined;
  readonly stash: StashDesk | undefined;
  readonly #kept = new Map<symbol, unknown>();

  constructor(parts: Omit<RecipeGround, 'remember'>) {
    this.engine = parts.engine;
    this.namespace = parts.namespace;
    this.root = parts.root;
    this.beneath = parts.beneath;
    this.clock = parts.clock;
    this.random = parts.random;
    this.peers = parts.peers;
    this.watchers = parts.watchers;
    this.stash = parts.stash;
  }

  remember<T>(key: symbol, make: () => T): T {
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept as T;
    const made = make();
    this.#kept.set(key, made);
    return made;
  }
}
