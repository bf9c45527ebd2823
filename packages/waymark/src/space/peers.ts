import type { Clock } from '../core/clock.js';
import type { CallOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import type { Peers, RecipeCall } from '../core/recipe-call.js';

/** A connection that nobody used for so long is closed. */
const idleMsMax = 60_000;

/** How another host is reached. */
export type Reach = (address: string) => Promise<Host>;

interface Peer {
  readonly host: Promise<Host>;
  calls: number;
  usedAt: number;
}

/** The other hosts that this one talks to: one connection each, made when it is first needed and closed when it is idle. */
export class HostPeers implements Peers {
  readonly #address: (() => string | undefined) | undefined;
  readonly #reach: Reach | undefined;
  readonly #clock: Clock;
  readonly #peers = new Map<string, Peer>();
  #stop: () => void = () => {};
  #closed = false;

  constructor(
    clock: Clock,
    address: (() => string | undefined) | undefined,
    reach: Reach | undefined,
  ) {
    this.#clock = clock;
    this.#address = address;
    this.#reach = reach;
  }

  get address(): string | undefined {
    return this.#address?.();
  }

  async run<Args, Result>(
    address: string,
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: CallOptions,
  ): Promise<Result> {
    const peer = this.#peer(address);
    peer.calls++;
    try {
      return await (await peer.host).run(call, namespace, args, options);
    } finally {
      peer.calls--;
      peer.usedAt = this.#clock.now();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    await Promise.allSettled([...this.#peers.keys()].map((address) => this.#drop(address)));
  }

  #peer(address: string): Peer {
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    const reach = this.#reach;
    if (reach === undefined || this.#closed) {
      throw new WaymarkError('unavailable', `this process does not connect to others (${address})`);
    }
    const peer: Peer = { host: reach(address), calls: 0, usedAt: this.#clock.now() };
    peer.host.catch(() => this.#peers.delete(address));
    if (this.#peers.size === 0) this.#arm();
    this.#peers.set(address, peer);
    return peer;
  }

  #arm(): void {
    this.#stop = this.#clock.after(idleMsMax / 2, () => {
      const now = this.#clock.now();
      for (const [address, { calls, usedAt }] of this.#peers) {
        if (calls === 0 && now - usedAt >= idleMsMax) void this.#drop(address);
      }
      if (this.#peers.size > 0) this.#arm();
    });
  }

  async #drop(address: string): Promise<void> {
    const peer = this.#peers.get(address);
    this.#peers.delete(address);
    const host = await peer?.host.catch(() => undefined);
    await host?.[Symbol.asyncDispose]();
  }
}
