import { WaymarkError } from '../core/errors.js';
import { type Peers, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import type { StashNodeFigures } from '../core/stash.js';
import { recipeMethod } from '../wire/recipe-methods.js';
import { serve, type ServedCall } from '../wire/serve/served-calls.js';
import type { NodeCallOptions } from './node.js';

/** What a storage node tells of itself. */
export interface NodeTold {
  readonly figures: StashNodeFigures;
  /** Looks at all other replicas that are over since it was started. */
  readonly rounds: number;
  /** How many those will be when a look is over that begins from now on. */
  readonly nextRound: number;
}

interface NodeAsked {
  /** It is to look at all other replicas now. */
  readonly repair: boolean;
}

const figures = recipeCall<NodeAsked, NodeTold>({
  name: 'stash-node.figures',
  verb: 0xdb,
  args: shape.record({ repair: shape.flag }),
  result: shape.json<NodeTold>(),
  whenBroken: 'retry',
  run: () => Promise.reject(new WaymarkError('denied', 'storage nodes are asked this')),
});

/** A node's side: for the table of the port it is reached at. */
export function servedFigures(
  tell: (asked: NodeAsked) => Promise<NodeTold>,
): readonly ServedCall[] {
  return [serve.recipe(recipeMethod(figures), ({ args }) => tell(args))];
}

/** @throws {WaymarkError} `unavailable`; `denied` by a node of an earlier version */
export async function askFigures(
  peers: Peers,
  address: string,
  asked: NodeAsked,
  { withinMs = 10_000, signal }: NodeCallOptions = {},
): Promise<NodeTold> {
  return await peers.run(address, figures, 'default', asked, { signal, withinMs });
}
