import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import type { PeerCall, Peers, RecipeCall } from '../core/recipe-call.js';

/** A connection that nobody used for so long is closed. */
const idleMsMax = 60_000;

/** How another host is reached. `closed` is called when that connection is over: the next call makes another; `signal` ends the try. */
export type Reach = (
  address: string,
  options: { readonly closed: () => void; readonly signal: AbortSignal },
) => Promise<Host>;

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
  readonly #ending = new AbortController();

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
    options: PeerCall,
  ): Promise<Result> {
    const peer = this.#peer(address);
    peer.calls++;
    try {
      const host = await this.#within(options.withinMs, peer.host, address);
      return await host.run(call, namespace, args, options);
    } finally {
      peer.calls--;
      peer.usedAt = this.#clock.now();
    }
  }

  async close(): Promise<void> {
    this.#ending.abort(new WaymarkError('unavailable', 'the space is closed'));
    this.#stop();
    await Promise.allSettled([...this.#peers.keys()].map((address) => this.#drop(address)));
  }

  #peer(address: string): Peer {
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    const reach = this.#reach;
    const { signal } = this.#ending;
    if (reach === undefined || signal.aborted) {
      throw new WaymarkError('unavailable', `this process does not connect to others (${address})`);
    }
    const closed = (): void => {
      if (this.#peers.get(address) === peer) this.#peers.delete(address);
    };
    const host = reach(address, { closed, signal });
    const peer: Peer = { host, calls: 0, usedAt: this.#clock.now() };
    host.catch(closed);
    if (this.#peers.size === 0) this.#arm();
    this.#peers.set(address, peer);
    return peer;
  }

  /** Calls that wait for one connection, and those that come when it stands, go on in their order: all wait in the same way. */
  async #within(ms: number, host: Promise<Host>, address: string): Promise<Host> {
    let stop = (): void => {};
    const late = new Promise<never>((_resolve, reject) => {
      const why = `no connection to ${address} within ${ms} ms`;
      stop = this.#clock.after(ms, () => reject(new WaymarkError('unavailable', why)));
    });
    try {
      return await Promise.race([host, late]);
    } finally {
      stop();
    }
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
