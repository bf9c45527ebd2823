import type { Clock, Random } from '../core/clock.js';
import type { CallOptions, Engine } from '../core/engine.js';
import { assert, WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import type { Inboxes, Peers, RecipeCall, RecipeGround } from '../core/recipe-call.js';
import type { ListenerAddress } from '../recipes/listener-address.js';
import { leave, note } from '../recipes/messages.js';

/** The boxes of this process by their names: what is for one of them needs no connection. */
export const boxes = new Map<string, ListenerBox>();

export interface BoxParts {
  /** Where it is noted that the member takes its messages here. */
  readonly host: Host;
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly address: ListenerAddress;
  /** What a sender has to show; undefined: nothing. */
  readonly token: string | undefined;
  /** Takes the box from its listener. */
  readonly close: () => Promise<void>;
}

/**
 * Where one member takes its messages at a listener. The calls of messages run on it as on a host, with a switchboard of its own and
 * without an engine: the space is asked only to note the address, once, and to forget it.
 */
export class ListenerBox implements Pick<Host, 'run'> {
  readonly address: ListenerAddress;
  readonly #parts: BoxParts;
  readonly #ground: RecipeGround;

  constructor(parts: BoxParts) {
    this.address = parts.address;
    this.#parts = parts;
    this.#ground = new BoxGround(parts);
    boxes.set(this.address.box, this);
  }

  /** What who would send without a connection has to show. */
  get token(): string | undefined {
    return this.#parts.token;
  }

  /** The namespace is the box's own, whatever the caller names. */
  async run<Args, Result>(
    call: RecipeCall<Args, Result>,
    _namespace: string,
    args: Args,
    options?: CallOptions,
  ): Promise<Result> {
    return await call.run(this.#ground, args, options);
  }

  async close(): Promise<void> {
    boxes.delete(this.address.box);
    await this.#parts.close();
  }
}

class BoxGround implements RecipeGround {
  readonly namespace: string;
  /** By it the switchboard is found: this box's alone. */
  readonly root = {};
  readonly clock: Clock;
  readonly random: Random;
  readonly inboxes: Inboxes;
  readonly peers: Peers = {
    address: undefined,
    run: () => Promise.reject(new WaymarkError('internal', 'a listener relays nothing')),
  };

  constructor({ host, namespace, clock, random, address }: BoxParts) {
    this.namespace = address.box;
    this.clock = clock;
    this.random = random;
    let noted: Promise<boolean> | undefined;
    this.inboxes = {
      async note(stay) {
        await (noted ??= host.run(note, namespace, { ...stay, ...address }));
      },
      forget: (stay) => host.run(leave, namespace, stay),
      // The member is in this process, and closes its box.
      gone: () => new Promise<never>(() => {}),
    };
  }

  get beneath(): never {
    return assert(false, 'a listener has no engine') as never;
  }

  get engine(): Engine {
    return assert(false, 'a listener has no engine') as never;
  }

  remember<T>(): T {
    return assert(false, 'a listener remembers nothing') as never;
  }
}
