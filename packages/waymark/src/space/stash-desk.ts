import type { Clock, Random } from '../core/clock.js';
import type { Engine } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Coordinator } from '../stash/coordinator.js';
import type { HybridClock } from '../stash/hybrid-clock.js';
import type { StashNode } from '../stash/node.js';
import { DeferredDesk } from './deferred-desk.js';
import { HostPeers, type Reach } from './peers.js';

/** How storage nodes are reached from here. */
export interface StashReach {
  /** What nodes ask for, where they do. */
  readonly token?: string | undefined;
  /** Files in PEM, for nodes behind TLS. Default: what Node trusts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Nodes of this zone are read from first. */
  readonly zone?: string | undefined;
  /** A node of this process: it is called as it is, and the clock of its stamps is the one that is kept over restarts. */
  readonly here?:
    { readonly id: string; readonly node: StashNode; readonly stamps: HybridClock } | undefined;
}

interface DeskParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
}

interface Made {
  readonly desk: Coordinator;
  readonly peers: HostPeers;
}

/** For one try at a node: whoever asks has a deadline, and asks another replica meanwhile. */
const connectTimeoutMs = 5_000;

/** Coordinates the stash from this process, once it is asked for: who has none loads nothing of it. */
export class LazyStash extends DeferredDesk {
  readonly #parts: DeskParts;
  readonly #reach: StashReach;
  #made: Promise<Made> | null = null;
  #closed = false;

  constructor(parts: DeskParts, reach: StashReach) {
    super();
    this.#parts = parts;
    this.#reach = reach;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const made = await this.#made?.catch(() => null);
    await made?.desk.close();
    await made?.peers.close();
  }

  protected async desk(): Promise<Coordinator> {
    if (this.#closed) throw new WaymarkError('unavailable', 'the space is closed');
    return (await (this.#made ??= this.#make())).desk;
  }

  async #make(): Promise<Made> {
    const { Coordinator } = await import('../stash/coordinator.js');
    const peers = nodePeers(this.#parts, this.#reach);
    const { zone, here } = this.#reach;
    const desk = new Coordinator({
      ...{ ...this.#parts, peers, zone },
      local: here,
      stamps: here?.stamps,
    });
    return { desk, peers };
  }
}

/** How one storage node calls others: closed by who asked for it. */
export function nodePeers(parts: Omit<DeskParts, 'engine'>, reach: StashReach): HostPeers {
  return new HostPeers(parts.clock, undefined, reachNode(parts, reach));
}

/** Reaches a storage node by its address in the view. */
export function reachNode(
  { clock, random }: Omit<DeskParts, 'engine'>,
  { token, ca, cert, key }: StashReach,
): Reach {
  return async (address, { closed, signal }) => {
    if (address === '') throw new WaymarkError('unavailable', 'the node has no address yet');
    const { connectHost } = await import('./remote-host.js');
    const files = Object.entries({ ca, cert, key }).filter(([, file]) => file !== undefined);
    const query = new URLSearchParams(files as [string, string][]).toString();
    const secure = /^tls:\/\/(.*)$/.exec(address)?.[1];
    const url =
      secure === undefined
        ? `tcp://${address}`
        : `https://${secure}${query === '' ? '' : `?${query}`}`;
    return await connectHost(url, {
      clock,
      random,
      client: 'a coordinator of the stash',
      token,
      connectTimeoutMs,
      reconnect: false,
      closed,
      signal,
    });
  };
}
