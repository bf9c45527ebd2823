import { WaymarkError } from '../core/errors.js';
import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import type { StashDesk, StashRepaired, StashSafeToStop, StashStatus } from '../core/stash.js';

/**
 * The stash, asked where it is coordinated (rules D1 to D4 in docs/spec/stash.md): of a server, or in this process. Batches go as blocks, which the
 * coordinator looks at itself.
 */

const deadlineMs = shape.optional(shape.number);
/** A call has its own deadline, and who does not wait for it any more ends it. */
const waits = { waits: true, endsWithCaller: true } as const;

export const read = recipeCall({
  name: 'stash.read',
  verb: 0xc7,
  whenBroken: 'retry',
  ...waits,
  args: shape.record({
    index: shape.text,
    keys: shape.blob,
    level: shape.choice('quorum', 'one'),
    keysOnly: shape.flag,
    deadlineMs,
  }),
  result: shape.blob,
  run: (ground, ask, options) => deskOf(ground).read({ ...ask, ...options }),
});

/** Done twice it would be stamped twice, and hide what others wrote in between. */
export const write = recipeCall({
  name: 'stash.write',
  verb: 0xc8,
  whenBroken: 'uncertain',
  ...waits,
  args: shape.record({
    index: shape.text,
    entries: shape.blob,
    deadlineMs,
    more: shape.optional(shape.flag),
  }),
  result: shape.record({ replicas: shape.whole, flushed: shape.whole }),
  run: (ground, ask, options) => deskOf(ground).write({ ...ask, ...options }),
});

export const scan = recipeCall({
  name: 'stash.scan',
  verb: 0xc9,
  whenBroken: 'retry',
  ...waits,
  args: shape.record({
    index: shape.text,
    prefix: shape.bytes,
    after: shape.optional(shape.text),
    limit: shape.whole,
    keysOnly: shape.flag,
    deadlineMs,
  }),
  result: shape.record({ entries: shape.blob, next: shape.nullable(shape.text) }),
  run: (ground, ask, options) => deskOf(ground).scan({ ...ask, ...options }),
});

export const indexes = recipeCall({
  name: 'stash.indexes',
  verb: 0xca,
  whenBroken: 'retry',
  ...waits,
  args: shape.record({ deadlineMs }),
  result: shape.list(shape.text),
  run: (ground, call, options) => deskOf(ground).indexes({ ...call, ...options }),
});

export const status = recipeCall({
  name: 'stash.status',
  verb: 0xcb,
  whenBroken: 'retry',
  ...waits,
  args: shape.record({ deadlineMs }),
  result: shape.json<StashStatus>(),
  run: (ground, call, options) => deskOf(ground).status({ ...call, ...options }),
});

/** Done twice it would be refused the second time, or do to the next move what was meant for this one. */
export const change = recipeCall({
  name: 'stash.change',
  verb: 0xcc,
  whenBroken: 'uncertain',
  ...waits,
  args: shape.record({
    kind: shape.choice('drain', 'remove', 'pause', 'resume', 'cancel'),
    nodes: shape.list(shape.text),
    acceptLoss: shape.flag,
    deadlineMs,
  }),
  result: shape.record({ epoch: shape.whole }),
  run: (ground, ask, options) => deskOf(ground).change({ ...ask, ...options }),
});

export const safeToStop = recipeCall({
  name: 'stash.safeToStop',
  verb: 0xcd,
  whenBroken: 'retry',
  ...waits,
  args: shape.record({ node: shape.text, deadlineMs }),
  result: shape.json<StashSafeToStop>(),
  run: (ground, ask, options) => deskOf(ground).safeToStop({ ...ask, ...options }),
});

export const repair = recipeCall({
  name: 'stash.repair',
  verb: 0xce,
  whenBroken: 'retry',
  ...waits,
  args: shape.record({ deadlineMs }),
  result: shape.json<StashRepaired>(),
  run: (ground, call, options) => deskOf(ground).repair({ ...call, ...options }),
});

export const stashCalls = [
  ...[read, write, scan, indexes, status],
  ...[change, safeToStop, repair],
] as const;

function deskOf({ stash }: RecipeGround): StashDesk {
  if (stash !== undefined) return stash;
  throw new WaymarkError('unavailable', 'the stash is not coordinated here: ask a server');
}
