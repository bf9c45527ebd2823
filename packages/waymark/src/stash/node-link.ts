import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import type { StashNode } from './node.js';

/** A node that owes answers and gave none for so long is silent: what goes to it meanwhile would only fill memory. */
const silentMsMax = 2_000;

/** One node as a coordinator sees it. */
export class NodeLink {
  readonly id: string;
  /** How far it is: 0 in this process, 1 in the same zone, 2 elsewhere; 4 more while it does not say that it is alive. */
  readonly distance: number;
  readonly #node: StashNode;
  readonly #clock: Clock;
  readonly #health: NodeHealth;

  constructor(
    id: string,
    parts: {
      readonly node: StashNode;
      readonly distance: number;
      readonly clock: Clock;
      readonly health: NodeHealth;
    },
  ) {
    this.id = id;
    this.distance = parts.distance;
    this.#node = parts.node;
    this.#clock = parts.clock;
    this.#health = parts.health;
  }

  /** It is asked last. */
  get silent(): boolean {
    const { underWay, heardAt } = this.#health;
    return underWay > 0 && this.#clock.now() - heardAt > silentMsMax;
  }

  /** @throws what the node refuses; `unavailable` at once while it is silent */
  async run<T>(call: (node: StashNode) => Promise<T>): Promise<T> {
    const health = this.#health;
    if (this.silent) {
      const why = `node ${this.id} has not answered for ${silentMsMax} ms`;
      throw new WaymarkError('unavailable', why);
    }
    if (health.underWay++ === 0) health.heardAt = this.#clock.now();
    try {
      const answer = await call(this.#node);
      health.heardAt = this.#clock.now();
      return answer;
    } catch (error) {
      health.heardAt = this.#clock.now();
      throw error;
    } finally {
      health.underWay--;
    }
  }
}

/** What is known of how a node answers: outlives views. */
export interface NodeHealth {
  underWay: number;
  heardAt: number;
}
