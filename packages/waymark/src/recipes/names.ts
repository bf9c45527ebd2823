import type { CallOptions, LeaseId, Operation } from '../core/engine.js';
import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { WaymarkError } from '../core/errors.js';
import { validateLeaseId } from '../core/lease-id.js';
import { claimKey, ownerKey } from '../space/names-layout.js';
import { checkCanonical } from '../space/paths.js';
import { checkHold, checkRequest } from './lock-request.js';
import { asLost } from './wording.js';
import { poolOf } from './names-pool.js';
import {
  type ClaimArgs,
  type Claimed,
  outOfLine,
  positionOf,
  requestOf,
  take,
  unkept,
} from './names-take.js';
import { standInLine } from './names-wait.js';

/** Names (rules A1 to A10 in docs/spec/recipes.md): the lowest free one of an ordered list, for an owner and under a lease. */

const whose = { path: shape.text, owner: shape.text, lease: shape.leaseId };

/** Takes back what one request asked for: its place in line, and its name unless another request was told it too. */
export const giveUp = recipeCall({
  name: 'names.give-up',
  verb: 0x72,
  whenBroken: 'retry',
  args: shape.record({ ...whose, id: shape.text }),
  result: shape.flag,
  async run(ground, args) {
    checkHold({ path: args.path, id: args.id, tree: false, mode: 'exclusive' });
    return await free(ground, args);
  },
});

/** @returns whether it was held */
export const release = recipeCall({
  name: 'names.release',
  verb: 0x71,
  whenBroken: 'retry',
  args: shape.record({ ...whose, token: shape.optional(shape.whole) }),
  result: shape.flag,
  run: (ground, args) => free(ground, args),
});

/** Without `waitMs` it waits; 0 asks once. Without `list` it takes the one in use. */
export const claim = recipeCall({
  name: 'names.claim',
  verb: 0x70,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({
    id: shape.text,
    session: shape.text,
    ...whose,
    list: shape.optional(shape.text),
    keeper: shape.optional(shape.leaseId),
    waitMs: shape.optional(shape.number),
  }),
  result: shape.record({ name: shape.text, position: shape.whole, token: shape.whole }),
  undo: ({ id, path, owner, lease }) => ({ call: giveUp, args: { id, path, owner, lease } }),
  run: (ground, args, options) => claimName(ground, args, options),
});

export const namesCalls = [claim, release, giveUp] as const;

async function claimName(
  ground: RecipeGround,
  args: ClaimArgs & { readonly waitMs?: number | undefined },
  options: CallOptions | undefined,
): Promise<Claimed> {
  checkRequest({ ...args, tree: false, mode: 'exclusive' });
  checkWhose(args);
  if (args.keeper !== undefined) validateLeaseId(args.keeper);
  const { engine, clock } = ground;
  const { path, waitMs } = args;
  const signal = options?.signal;
  const pool = poolOf(ground, path);
  if (args.list !== undefined) pool.namesIn(args.list);
  const parts = { engine, pool, args };
  try {
    const taken = await pool.inTurn(async () => {
      signal?.throwIfAborted();
      return await take(parts, null);
    });
    if ('token' in taken) return taken;
    if (waitMs === 0) throw exhausted(path, taken.taken.size);
    return await standInLine(parts, clock, { path, waitMs, signal });
  } catch (error) {
    throw asLost(error, 'name');
  }
}

interface Freed {
  readonly path: string;
  readonly owner: string;
  readonly lease: LeaseId;
  /** Only this claim. */
  readonly token?: number | undefined;
  /** Only what this request alone was told, and its place in line. */
  readonly id?: string | undefined;
}

async function free(ground: RecipeGround, freed: Freed): Promise<boolean> {
  checkWhose(freed);
  const { engine } = ground;
  const { path, owner, lease, token, id } = freed;
  const place: Operation[] = id === undefined ? [] : [outOfLine({ path, id })];
  const key = ownerKey(path, owner, lease);
  const [own] = (await engine.read({ key })).entries;
  const meant =
    own !== undefined &&
    (token === undefined || own.createRevision === token) &&
    (id === undefined || requestOf(own) === id);
  if (!meant) {
    if (place.length === 0) return false;
    const { results } = await engine.commit({ apply: place });
    return results.some((result) => result.type === 'delete' && result.deleted > 0);
  }
  const position = positionOf(own);
  const { succeeded } = await engine.commit({
    // Not only created then: a second request may be told it meanwhile.
    when: [{ key, target: 'mod', is: '=', to: own.modRevision }],
    apply: [
      { type: 'delete', key },
      { type: 'delete', key: claimKey(path, position, lease) },
      ...unkept(path, owner, position),
      ...place,
    ],
  });
  if (!succeeded) return await free(ground, { ...freed, token: own.createRevision });
  poolOf(ground, path).taken.delete(position);
  return true;
}

function checkWhose({ path, owner, lease }: Freed): void {
  checkCanonical(path);
  if (owner === '') throw new WaymarkError('invalid', 'a name has an owner: 1 to 256 bytes');
  if (owner.includes('\0')) {
    throw new WaymarkError('invalid', 'the owner of a name contains no NUL');
  }
  if (Buffer.byteLength(owner) > 256) {
    throw new WaymarkError('too_large', 'the owner of a name takes at most 256 bytes');
  }
  validateLeaseId(lease);
}

function exhausted(path: string, taken: number): WaymarkError {
  const message = `no name of ${path} is free: ${taken} are claimed, kept for who had them, or promised to who waits`;
  return new WaymarkError('exhausted', message, { path, actual: taken });
}
