import { WaymarkError } from '../core/errors.js';
import { type Peers, type RecipeCall, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { recipeMethod } from '../wire/recipe-methods.js';
import { serve, type ServedCall } from '../wire/serve/served-calls.js';
import type { NodeCallOptions } from './node.js';
import type {
  PeerDigests,
  PeerFetch,
  PeerFloors,
  PeerMend,
  PeerPage,
  PeerSeal,
  PeerVersions,
  StashPeer,
} from './peer.js';

/** What storage nodes ask of each other over the wire. All of it may be sent twice. */

const whenBroken = 'retry';
const nothing = shape.record({});
const sealed = shape.record({
  epoch: shape.whole,
  partition: shape.whole,
  upTo: shape.whole,
});

const digests = recipeCall<PeerDigests, Uint8Array>({
  name: 'stash-peer.digests',
  verb: 0xd4,
  args: shape.record({ epoch: shape.whole, partitions: shape.blob, grouped: shape.flag }),
  result: shape.blob,
  whenBroken,
  run: refuse,
});

const floors = recipeCall<PeerFloors, Uint8Array>({
  name: 'stash-peer.floors',
  verb: 0xdc,
  args: shape.record({ epoch: shape.whole, partitions: shape.blob }),
  result: shape.blob,
  whenBroken,
  run: refuse,
});

const versions = recipeCall<PeerVersions, PeerPage>({
  name: 'stash-peer.versions',
  verb: 0xd5,
  args: shape.record({ epoch: shape.whole, partition: shape.whole, after: shape.blob }),
  result: shape.record({ entries: shape.blob, more: shape.flag, purged: shape.whole }),
  whenBroken,
  run: refuse,
});

const fetch = recipeCall<PeerFetch, Uint8Array>({
  name: 'stash-peer.fetch',
  verb: 0xd6,
  args: shape.record({ epoch: shape.whole, partition: shape.whole, keys: shape.blob }),
  result: shape.blob,
  whenBroken,
  run: refuse,
});

const mend = recipeCall<PeerMend, object>({
  name: 'stash-peer.mend',
  verb: 0xd7,
  args: shape.record({
    epoch: shape.whole,
    partition: shape.whole,
    purged: shape.whole,
    entries: shape.blob,
  }),
  result: nothing,
  whenBroken,
  run: refuse,
});

const seal = recipeCall<PeerSeal, Uint8Array>({
  name: 'stash-peer.seal',
  verb: 0xd8,
  args: sealed,
  result: shape.blob,
  whenBroken,
  run: refuse,
});

const purge = recipeCall<PeerSeal, object>({
  name: 'stash-peer.purge',
  verb: 0xd9,
  args: sealed,
  result: nothing,
  whenBroken,
  run: refuse,
});

/** A node's side towards other nodes: calls for the table of the port it is reached at. */
export function servedPeer(peer: StashPeer): readonly ServedCall[] {
  return [
    serve.recipe(recipeMethod(digests), ({ args }, options) => peer.digests(args, options)),
    serve.recipe(recipeMethod(floors), ({ args }, options) => peer.floors(args, options)),
    serve.recipe(recipeMethod(versions), ({ args }, options) => peer.versions(args, options)),
    serve.recipe(recipeMethod(fetch), ({ args }, options) => peer.fetch(args, options)),
    serve.recipe(recipeMethod(mend), ({ args }, options) => told(peer.mend(args, options))),
    serve.recipe(recipeMethod(seal), ({ args }, options) => peer.seal(args, options)),
    serve.recipe(recipeMethod(purge), ({ args }, options) => told(peer.purge(args, options))),
  ];
}

/** The node that is reached at an address. */
export class RemotePeer implements StashPeer {
  readonly #peers: Peers;
  readonly #address: string;

  constructor(peers: Peers, address: string) {
    this.#peers = peers;
    this.#address = address;
  }

  digests(ask: PeerDigests, options?: NodeCallOptions): Promise<Uint8Array> {
    return this.#run(digests, ask, options);
  }

  floors(ask: PeerFloors, options?: NodeCallOptions): Promise<Uint8Array> {
    return this.#run(floors, ask, options);
  }

  versions(ask: PeerVersions, options?: NodeCallOptions): Promise<PeerPage> {
    return this.#run(versions, ask, options);
  }

  fetch(ask: PeerFetch, options?: NodeCallOptions): Promise<Uint8Array> {
    return this.#run(fetch, ask, options);
  }

  async mend(ask: PeerMend, options?: NodeCallOptions): Promise<void> {
    await this.#run(mend, ask, options);
  }

  seal(ask: PeerSeal, options?: NodeCallOptions): Promise<Uint8Array> {
    return this.#run(seal, ask, options);
  }

  async purge(ask: PeerSeal, options?: NodeCallOptions): Promise<void> {
    await this.#run(purge, ask, options);
  }

  #run<A, R>(call: RecipeCall<A, R>, args: A, options: NodeCallOptions = {}): Promise<R> {
    const { withinMs = 10_000, signal } = options;
    return this.#peers.run(this.#address, call, 'default', args, { signal, withinMs });
  }
}

async function told(done: Promise<void>): Promise<object> {
  await done;
  return {};
}

function refuse(): Promise<never> {
  const why = 'storage nodes ask this of each other: ask the stash';
  return Promise.reject(new WaymarkError('denied', why));
}
