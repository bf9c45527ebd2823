import type { Check, Engine, Entry, LeaseId, Operation } from '../core/engine.js';
import { textToBytes } from '../core/bytes.js';
import { WaymarkError } from '../core/errors.js';
import { lists, type NameList, textOf } from '../space/name-lists.js';
import {
  claimKey,
  claimRange,
  formerKey,
  formerPosition,
  formerRange,
  keptKey,
  listKey,
  ownerKey,
  positionRange,
  positionsRange,
  waiterKey,
  waitersRange,
} from '../space/names-layout.js';
import { encodeParty } from './lock-queue.js';
import { guessOf, type Look, lookOf, readsFor } from './names-look.js';
import type { NamePool } from './names-pool.js';

/**
 * One claim: the lowest free position in one commit, which insists that the position is free and every lower one taken. The host
 * remembers which were taken when it last looked, so it need not read first; when the guess was wrong, the commit answers with what there is.
 * A check can ask that something stands in a range, but not that nothing vanished from a longer one, so each lower position takes a
 * check of its own, and of those a commit has room for 120. Beyond that position the claim reads first, and is the lowest free one of that read.
 * (stonecutters tried the names one after another, a round trip each.)
 */
const lowerChecksMax = 120;

export interface ClaimArgs {
  readonly id: string;
  readonly path: string;
  readonly session: string;
  readonly owner: string;
  readonly lease: LeaseId;
  /** One name a line. Absent: the list in use, or the mountains. */
  readonly list?: string | undefined;
  /** The claim is kept for its owner as long as this lease lives. */
  readonly keeper?: LeaseId | undefined;
}

export interface Claimed {
  readonly name: string;
  readonly position: number;
  readonly token: number;
}

interface Attempt {
  readonly position: number;
  readonly when: readonly Check[];
  readonly apply: readonly Operation[];
}

export interface TakeParts {
  readonly engine: Engine;
  readonly pool: NamePool;
  readonly args: ClaimArgs;
}

/**
 * @param place  the place of who waits, and has nobody before it; null: who waits goes first
 * @returns what there is where no name is to be had, or the place is gone
 * @throws {WaymarkError} `conflict` for another list
 */
export async function take(
  { engine, pool, args }: TakeParts,
  place: Entry | null,
): Promise<Claimed | Look> {
  const look = async (): Promise<Look> => {
    const { results, revision } = await engine.commit({ apply: readsFor(args) });
    return lookOf(pool, args.path, results, revision);
  };
  for (let seen = guessOf(pool); ;) {
    const names = namesIn(seen, pool, args);
    if (seen.own !== null && names !== null) {
      if (await toldAgain(engine, seen, seen.own, args)) return ownOf(seen.own, names);
      seen = await look();
      continue;
    }
    const attempt = names === null ? null : attemptOf(seen, names, args, place);
    if (names === null || attempt === null) {
      if (seen.revision !== null) return seen;
      seen = await look();
      continue;
    }
    const { position, when, apply } = attempt;
    const otherwise = readsFor(args);
    const { succeeded, results, revision } = await engine.commit({ when, apply, otherwise });
    if (succeeded) {
      pool.took(position, names, revision);
      return { name: names[position] ?? '', position, token: revision };
    }
    seen = lookOf(pool, args.path, results, revision);
    if (place !== null && seen.own === null && !stillStands(seen, place)) return seen;
  }
}

/** Whether the request stands in line. */
function hasPlace({ waiters }: Look, { path, id }: ClaimArgs): boolean {
  const own = waiterKey(path, id);
  return waiters.some(({ key }) => key === own);
}

/** Not one that a repeated request has put since. */
export function stillStands({ waiters }: Look, { key, createRevision }: Entry): boolean {
  return waiters.some((one) => one.key === key && one.createRevision === createRevision);
}

/** @returns the list that counts; null: another one is remembered, which has to be looked at. @throws {WaymarkError} `conflict` */
function namesIn(seen: Look, pool: NamePool, { path, list }: ClaimArgs): NameList | null {
  if (seen.list === null) return list === undefined ? lists.mountains : pool.namesIn(list);
  if (list === undefined || list === seen.list) return pool.namesIn(seen.list);
  if (seen.revision === null) return null;
  if (seen.taken.size === 0 && seen.waiters.length === 0) return pool.namesIn(list);
  throw new WaymarkError(
    'conflict',
    `${path} has another list in use: claim with that one, or wait until nobody has a name of it`,
    { path, revision: seen.listRevision },
  );
}

/** @returns what to commit; null: nothing is free, or it has to be looked at first */
function attemptOf(
  seen: Look,
  names: NameList,
  args: ClaimArgs,
  place: Entry | null,
): Attempt | null {
  const { path, owner, lease, id } = args;
  const list = listChange(seen, names, path);
  const common: Check[] = [...list.when, absent({ key: ownerKey(path, owner, lease) })];
  if (seen.former !== null && seen.revision !== null) {
    return returning(seen, seen.former, seen.revision, args, common);
  }

  const position = lowestFree(seen, names);
  if (position === null) return null;
  const free = names.length - seen.taken.size;
  const others = seen.waiters.filter(({ key }) => key !== waiterKey(path, id));
  if (place === null && free <= others.length) return null;
  if (seen.revision === null && position > lowerChecksMax) return null;
  const when = [
    ...common,
    absent(formerRange(path, owner)),
    place === null ? noMoreWaiters(seen, path) : stands(place),
    absent(positionRange(path, position)),
  ];
  for (let lower = 0; lower < Math.min(position, lowerChecksMax); lower++) {
    when.push({ ...positionRange(path, lower), target: 'version', is: '>', to: 0 });
  }
  const apply = [...list.apply, ...claimPuts(args, position)];
  if (place !== null || seen.revision !== null) apply.push(outOfLine(args));
  return { position, when, apply };
}

/** The owner's former name, from its former life if that still holds it. */
function returning(
  seen: Look,
  former: Entry,
  revision: number,
  args: ClaimArgs,
  common: readonly Check[],
): Attempt {
  const { path, owner } = args;
  const position = formerPosition(former.key);
  const unmoved = { target: 'mod', is: '<', to: revision + 1 } as const;
  const when: Check[] = [
    ...common,
    { key: former.key, target: 'mod', is: '=', to: former.modRevision },
    { ...claimRange(path, position), ...unmoved },
  ];
  const apply = [...claimPuts(args, position), outOfLine(args)];
  const before = seen.claims.get(position);
  if (before !== undefined) {
    apply.push({ type: 'delete', key: before.key });
    apply.push({ type: 'delete', key: ownerKey(path, owner, before.lease) });
  }
  if (args.keeper === undefined) apply.push(...unkept(path, owner, position));
  return { position, when, apply };
}

/** A request that is repeated may have a place already. */
export function outOfLine({ path, id }: Pick<ClaimArgs, 'path' | 'id'>): Operation {
  return { type: 'delete', key: waiterKey(path, id) };
}

/** Before another request than the one that took it is told the name: from then on neither is to free it by giving up. */
async function toldAgain(
  engine: Engine,
  seen: Look,
  own: Entry,
  args: ClaimArgs,
): Promise<boolean> {
  const { key, modRevision, lease } = own;
  const apply: Operation[] = hasPlace(seen, args) ? [outOfLine(args)] : [];
  if (![args.id, toldToMany].includes(requestOf(own))) {
    apply.push({ type: 'put', key, value: `${positionOf(own)}\n${toldToMany}`, lease });
  }
  if (apply.length === 0) return true;
  const when: Check[] = [{ key, target: 'mod', is: '=', to: modRevision }];
  return (await engine.commit({ when, apply })).succeeded;
}

function claimPuts({ path, owner, lease, keeper, ...args }: ClaimArgs, at: number): Operation[] {
  const value = encodeParty({ session: args.session, owner });
  const puts: Operation[] = [
    { type: 'put', key: claimKey(path, at, lease), value, lease },
    { type: 'put', key: ownerKey(path, owner, lease), value: `${at}\n${args.id}`, lease },
  ];
  if (keeper === undefined) return puts;
  const kept = { type: 'put', lease: keeper } as const;
  puts.push({ ...kept, key: keptKey(path, at), value: textToBytes(owner) });
  puts.push({ ...kept, key: formerKey(path, owner, at), value: '' });
  return puts;
}

/** What keeps a position for its owner, taken away. */
export function unkept(path: string, owner: string, position: number): Operation[] {
  return [
    { type: 'delete', key: keptKey(path, position) },
    { type: 'delete', key: formerKey(path, owner, position) },
  ];
}

/** The list is kept by the first claim, and by one with another list while nobody has a name. */
function listChange(
  { list, listRevision }: Look,
  names: NameList,
  path: string,
): { readonly when: readonly Check[]; readonly apply: readonly Operation[] } {
  const key = listKey(path);
  const text = textOf(names);
  const when: Check[] = [{ key, target: 'mod', is: '=', to: listRevision }];
  if (list === text) return { when, apply: [] };
  if (list !== null) when.push(absent(positionsRange(path)), absent(waitersRange(path)));
  return { when, apply: [{ type: 'put', key, value: textToBytes(text) }] };
}

function noMoreWaiters({ waiters, revision }: Look, path: string): Check {
  const range = waitersRange(path);
  if (waiters.length === 0 || revision === null) return absent(range);
  return { ...range, target: 'mod', is: '<', to: revision + 1 };
}

function lowestFree({ taken }: Look, { length }: NameList): number | null {
  for (let position = 0; position < length; position++) if (!taken.has(position)) return position;
  return null;
}

function ownOf(own: Entry, names: NameList): Claimed {
  const position = positionOf(own);
  return { name: names[position] ?? '', position, token: own.createRevision };
}

/** In place of the one request that was told the name. */
const toldToMany = '';

/** Of the key that tells what an owner has: its position, and the one request that was told it. */
export function positionOf({ value }: Entry): number {
  return Number(value.slice(0, value.indexOf('\n')));
}

export function requestOf({ value }: Entry): string {
  return value.slice(value.indexOf('\n') + 1);
}

function absent(range: { readonly key: string; readonly end?: string | undefined }): Check {
  return { ...range, target: 'version', is: '=', to: 0 };
}

function stands({ key, createRevision }: Entry): Check {
  return { key, target: 'create', is: '=', to: createRevision };
}
