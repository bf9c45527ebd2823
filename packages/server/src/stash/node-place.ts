import { type Engine, isWaymarkError } from 'waymark/engine';
import {
  type AnnouncedNode,
  beginMove,
  changeView,
  createView,
  type PlacedNode,
  readView,
} from 'waymark/stash';

/** `starting`: it had left, and waits to be let in again. `joining`: it is being filled, or waits for that. `left`: it keeps nothing any more. */
export type TakenPlace = 'starting' | 'active' | 'joining' | 'left';

export interface PlaceParts {
  readonly engine: Engine;
  /** Copies of each entry, where this is the first node. */
  readonly replicas: number;
  /** It was started, and has not had a place since. */
  readonly isNew: boolean;
  /** Nothing lies on its disk. */
  readonly isEmpty: () => boolean;
  readonly signal: AbortSignal;
}

/** Takes a node's place in the view where that moves no data, and else asks for its share to be moved to it. */
export async function takePlace(self: AnnouncedNode, parts: PlaceParts): Promise<TakenPlace> {
  const { engine, signal } = parts;
  const { id, zone, weight } = self;
  for (;;) {
    const seen = await readView(engine, { signal });
    if (seen === null) {
      const first = { epoch: 1, replicas: parts.replicas, nodes: [{ id, zone, weight }] };
      await createView(engine, first, { signal });
      continue;
    }
    const { replicas, nodes, also, left } = seen.view;
    const others = nodes.filter((node) => node.id !== id);
    const own = nodes.find((node) => node.id === id);
    if (own?.zone === zone && own.weight === weight) return 'active';
    // It was drained while it ran: it comes back when it is started again.
    if (own === undefined && !parts.isNew && left?.includes(id) === true) return 'left';
    const next = [...others, { id, zone, weight }];
    // Beside others it moves even where nothing seems to be kept: a write may be under way.
    if (also === undefined && others.length === 0) {
      const away = left?.filter((one) => one !== id);
      await changeView(engine, seen, { replicas, nodes: next, left: away }, { signal });
      continue;
    }
    // What it kept before it left is gone before it is given anything.
    const hasLeft = left?.includes(id) === true;
    const ready = also === undefined && (!hasLeft || parts.isEmpty());
    const asked = ready && (await askIn(engine, { id, zone, weight }, signal));
    if (own !== undefined) return 'active';
    // Until it is let in it stands among those that left, as one does that is drained while it runs.
    return hasLeft && !asked ? 'starting' : 'joining';
  }
}

/** Has its share of the data moved to it. @returns false while other data is being moved: then it waits */
async function askIn(engine: Engine, self: PlacedNode, signal: AbortSignal): Promise<boolean> {
  const withSelf = (nodes: readonly PlacedNode[]): PlacedNode[] =>
    nodes.filter(({ id }) => id !== self.id).concat(self);
  try {
    await beginMove(engine, withSelf, { signal });
    return true;
  } catch (error) {
    if (!isWaymarkError(error, 'conflict')) throw error;
    return false;
  }
}
