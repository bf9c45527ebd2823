import { WaymarkError } from '../core/errors.js';
import { type Peers, type RecipeCall, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { recipeMethod } from '../wire/recipe-methods.js';
import { serve, type ServedCall } from '../wire/serve/served-calls.js';
import type {
  NodeCallOptions,
  NodeHint,
  NodePage,
  NodeRead,
  NodeScan,
  NodeWrite,
  StashNode,
} from './node.js';

/** What a storage node is asked over the wire. A node offers these calls and no others, and a host none of them. */

const read = recipeCall<NodeRead, Uint8Array>({
  name: 'stash-node.read',
  verb: 0xd0,
  args: shape.record({
    epoch: shape.whole,
    index: shape.text,
    keys: shape.blob,
    versionsOnly: shape.flag,
  }),
  result: shape.blob,
  whenBroken: 'retry',
  run: refuse,
});

const write = recipeCall<NodeWrite, number>({
  name: 'stash-node.write',
  verb: 0xd1,
  args: shape.record({
    epoch: shape.whole,
    index: shape.text,
    entries: shape.blob,
    more: shape.optional(shape.flag),
  }),
  result: shape.whole,
  whenBroken: 'uncertain',
  run: refuse,
});

const scan = recipeCall<NodeScan, NodePage>({
  name: 'stash-node.scan',
  verb: 0xd2,
  args: shape.record({
    epoch: shape.whole,
    index: shape.text,
    partitions: shape.blob,
    prefix: shape.bytes,
    after: shape.optional(shape.bytes),
    limit: shape.whole,
    versionsOnly: shape.flag,
  }),
  result: shape.record({ entries: shape.blob, more: shape.flag }),
  whenBroken: 'retry',
  run: refuse,
});

const indexes = recipeCall<object, readonly string[]>({
  name: 'stash-node.indexes',
  verb: 0xd3,
  args: shape.record({}),
  result: shape.list(shape.text),
  whenBroken: 'retry',
  run: refuse,
});

const hint = recipeCall<NodeHint, object>({
  name: 'stash-node.hint',
  verb: 0xda,
  args: shape.record({
    epoch: shape.whole,
    node: shape.text,
    index: shape.text,
    keys: shape.blob,
  }),
  result: shape.record({}),
  whenBroken: 'retry',
  run: refuse,
});

/** A node's serving side: its calls, for the table of the port it is reached at. */
export function servedNode(node: StashNode): readonly ServedCall[] {
  return [
    serve.recipe(recipeMethod(read), ({ args }, options) => node.read(args, options)),
    serve.recipe(recipeMethod(write), ({ args }, options) => node.write(args, options)),
    serve.recipe(recipeMethod(scan), ({ args }, options) => node.scan(args, options)),
    serve.recipe(recipeMethod(indexes), (_asked, options) => node.indexes(options)),
    serve.recipe(recipeMethod(hint), async ({ args }, options) => {
      await node.hint(args, options);
      return {};
    }),
  ];
}

/** All calls of a node, for a port that says why it offers none of them. */
export const nodeCalls = [read, write, scan, indexes, hint] as unknown as readonly RecipeCall<
  unknown,
  unknown
>[];

/** The node that is reached at an address. */
export class RemoteNode implements StashNode {
  readonly #peers: Peers;
  readonly #address: string;

  constructor(peers: Peers, address: string) {
    this.#peers = peers;
    this.#address = address;
  }

  read(ask: NodeRead, options?: NodeCallOptions): Promise<Uint8Array> {
    return this.#run(read, ask, options);
  }

  write(ask: NodeWrite, options?: NodeCallOptions): Promise<number> {
    return this.#run(write, ask, options);
  }

  scan(ask: NodeScan, options?: NodeCallOptions): Promise<NodePage> {
    return this.#run(scan, ask, options);
  }

  indexes(options?: NodeCallOptions): Promise<readonly string[]> {
    return this.#run(indexes, {}, options);
  }

  async hint(ask: NodeHint, options?: NodeCallOptions): Promise<void> {
    await this.#run(hint, ask, options);
  }

  #run<A, R>(call: RecipeCall<A, R>, args: A, options: NodeCallOptions = {}): Promise<R> {
    const { withinMs = 10_000, signal } = options;
    return this.#peers.run(this.#address, call, 'default', args, { signal, withinMs });
  }
}

function refuse(): Promise<never> {
  const why = 'storage nodes are asked this, by who coordinates: ask the stash';
  return Promise.reject(new WaymarkError('denied', why));
}
