import type { Entry, OperationResult } from '../core/engine.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import { recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { memberKey } from '../space/layout.js';
import type { Member } from '../space/member-types.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { checkRequest } from './lock-request.js';
import { asLost } from './wording.js';

/**
 * Members of a group (rules M1 to M8 in docs/spec/recipes.md): one key per member under the lease of its process. The engine itself tells
 * who left, whose key was deleted, from who failed, whose lease ended, and everyone sees the same changes in the same order: no member
 * pings another, and no list is sent around that could be older than what it replaces. The incarnation is the key's createRevision.
 */

const idBytesMax = 128;
const addressBytesMax = 512;
const metaBytesMax = 16_384;

const told = {
  address: shape.optional(shape.text),
  /** JSON. */
  meta: shape.optional(shape.text),
};

const named = { group: shape.text, member: shape.text };
const joining = shape.record({
  /** Of the request: finds its own membership again after a lost answer. */
  id: shape.text,
  ...named,
  ...told,
  lease: shape.leaseId,
  owner: shape.text,
});

/** Named by its incarnation, or by the request that joined. @returns whether it was a member */
export const leave = recipeCall({
  name: 'members.leave',
  verb: 0x91,
  whenBroken: 'retry',
  args: shape.record({
    ...named,
    incarnation: shape.optional(shape.whole),
    id: shape.optional(shape.text),
  }),
  result: shape.flag,
  async run({ engine }, { incarnation, id, ...of }) {
    const key = keyOf(of);
    const [entry] = (await engine.read({ key })).entries;
    if (entry === undefined) return false;
    if (entry.createRevision !== incarnation && decode(entry).by !== id) return false;
    const { succeeded } = await engine.commit({
      when: [{ key, target: 'create', is: '=', to: entry.createRevision }],
      apply: [{ type: 'delete', key }],
    });
    return succeeded;
  },
});

/** @returns the incarnation. @throws {WaymarkError} `conflict` while a member has the id, `lost` */
export const join = recipeCall({
  name: 'members.join',
  verb: 0x90,
  whenBroken: 'retry',
  args: joining,
  result: shape.whole,
  undo: ({ id, group, member }) => ({ call: leave, args: { id, group, member } }),
  async run({ engine }, args) {
    const key = keyOf(args);
    const value = encode(args);
    try {
      const { succeeded, revision, results } = await engine.commit({
        when: [{ key, target: 'create', is: '=', to: 0 }],
        apply: [{ type: 'put', key, value, lease: args.lease }],
        otherwise: [{ type: 'read', key }],
      });
      return succeeded ? revision : ownAlready(results, args);
    } catch (error) {
      throw asLost(error, 'membership');
    }
  },
});

/** What is not named stays. @returns the revision at which it was told. @throws {WaymarkError} `lost` */
export const update = recipeCall({
  name: 'members.update',
  verb: 0x92,
  whenBroken: 'retry',
  args: shape.record({ ...named, incarnation: shape.whole, ...told }),
  result: shape.whole,
  async run({ engine }, { incarnation, address, meta, ...of }) {
    const key = keyOf(of);
    checkTold({ address, meta });
    for (;;) {
      const [entry] = (await engine.read({ key })).entries;
      if (entry?.createRevision !== incarnation) throw lostMembership(of.member, of.group);
      const kept = decode(entry);
      const next: Kept = {
        ...kept,
        address: address ?? kept.address,
        meta: meta === undefined ? kept.meta : parsed(meta),
      };
      const { succeeded, revision } = await engine.commit({
        when: [{ key, target: 'mod', is: '=', to: entry.modRevision }],
        apply: [{ type: 'put', key, value: textToBytes(JSON.stringify(next)), keepLease: true }],
      });
      // Else another update came in between: this one is told on top of it.
      if (succeeded) return revision;
    }
  },
});

export const memberCalls = [join, leave, update] as const;

export function decodeMember<M>(entry: Entry): Member<M> {
  const { member: id, owner, address, meta } = decode(entry);
  return {
    id,
    incarnation: entry.createRevision,
    owner,
    address: address ?? null,
    meta: (meta ?? null) as M | null,
    revision: entry.modRevision,
    lease: entry.lease,
  };
}

export function lostMembership(id: string, group: string): WaymarkError {
  const why = `${id} is no longer a member of ${group}: join anew`;
  return new WaymarkError('lost', why, { path: group });
}

type Joining = shape.TypeOf<typeof joining>;

interface Kept {
  readonly by: string;
  readonly member: string;
  readonly owner: string;
  readonly address?: string | undefined;
  readonly meta?: unknown;
}

/** A request that was sent twice finds what the first one made; another's id is refused. */
function ownAlready([result]: readonly OperationResult[], args: Joining): number {
  const entry = result?.type === 'read' ? result.reading.entries[0] : undefined;
  if (entry === undefined) throw lostMembership(args.member, args.group);
  const { by, owner } = decode(entry);
  if (by === args.id && entry.lease === args.lease) return entry.createRevision;
  throw new WaymarkError(
    'conflict',
    `${args.member} is a member of ${args.group} already: take another id, or wait until it left or its lease ended`,
    { path: args.group, holder: owner, token: entry.createRevision },
  );
}

function keyOf({ group, member: id }: { readonly group: string; readonly member: string }): string {
  checkCanonical(group);
  checkMemberId(id);
  return memberKey(pathToBytes(group), textToBytes(id));
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function checkMemberId(id: string): void {
  if (id === '' || id.includes('\0') || /\p{Surrogate}/u.test(id)) {
    throw new WaymarkError('invalid', 'the id of a member is text that is not empty, without NUL');
  }
  atMost('memberIdBytesMax', idBytesMax, id);
}

/** What comes from outside is checked here, once more: this is the trust boundary. */
function encode(args: Joining): string {
  checkRequest({ ...args, session: args.id, path: args.group, tree: false, mode: 'exclusive' });
  checkTold(args);
  const { id: by, member: of, owner, address } = args;
  const kept: Kept = { by, member: of, owner, address, meta: parsed(args.meta) };
  return textToBytes(JSON.stringify(kept));
}

function checkTold({ address, meta }: Pick<Joining, 'address' | 'meta'>): void {
  if (address !== undefined) atMost('memberAddressBytesMax', addressBytesMax, address);
  if (meta !== undefined) atMost('memberMetaBytesMax', metaBytesMax, meta);
}

function parsed(meta: string | undefined): unknown {
  if (meta === undefined) return undefined;
  try {
    return JSON.parse(meta) as unknown;
  } catch (cause) {
    throw new WaymarkError('invalid', 'what a member tells of itself is JSON', {}, cause);
  }
}

function decode({ value }: Entry): Kept {
  return JSON.parse(bytesToText(value)) as Kept;
}

function atMost(limit: string, max: number, text: string): void {
  const actual = Buffer.byteLength(text);
  if (actual <= max) return;
  const message = `${actual} bytes: at most ${max} (${limit})`;
  throw new WaymarkError('too_large', message, { limit, max, actual });
}
