import { type Inboxes, type RecipeGround, recipeCall, type Stay } from '../core/recipe-call.js';
import type { Engine, Txn } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import * as shape from '../core/shape.js';
import { textToBytes } from '../core/bytes.js';
import { inboxKey, memberKey } from '../space/layout.js';
import { checkListener, formatListener, parseListener } from './listener-address.js';
import { checkMemberId, lostMembership } from './members.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { type Delivery, refused, Switchboard } from './switchboard.js';

/**
 * Messages (docs/spec/messaging.md). A member takes its messages at the host it is connected to, or at a listener in its own process; the
 * address of either is noted beside the member, under the member's lease, so that every other host knows where to bring a message. Nothing of
 * a message touches the engine.
 */

/** One for all hosts of this process over one engine: they need no connection to reach each other. */
const boards = new WeakMap<object, Switchboard>();

function boardOf({ root, clock }: RecipeGround): Switchboard {
  const board = boards.get(root) ?? new Switchboard(clock);
  boards.set(root, board);
  return board;
}

const member = { group: shape.text, member: shape.text };
const kind = shape.choice('send', 'broadcast');

const incoming = shape.record({
  id: shape.whole,
  from: shape.text,
  kind,
  term: shape.optional(shape.whole),
  body: shape.bytes,
});

const answer = shape.record({
  id: shape.whole,
  taken: shape.flag,
  seen: shape.flag,
  body: shape.bytes,
  why: shape.text,
});

const delivery = shape.record({
  outcome: shape.choice('delivered', 'refused', 'unknown'),
  seen: shape.flag,
  body: shape.bytes,
  why: shape.text,
});

/** Messages wait for the member here from now on. */
export const open = recipeCall({
  name: 'messages.open',
  verb: 0xa4,
  whenBroken: 'retry',
  args: shape.record({ ...member, lease: shape.whole }),
  result: shape.flag,
  async run(ground, { group, member: name, lease }) {
    await inboxesOf(ground).note({ group, member: name, lease });
    boardOf(ground).open(nameOf(ground, group, name));
    return true;
  },
});

/** The member's next messages, as soon as there are any. None: ask again. */
export const take = recipeCall({
  name: 'messages.take',
  verb: 0xa0,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({ ...member, lease: shape.whole }),
  result: shape.list(incoming),
  async run(ground, { group, member: name, lease }, options) {
    await inboxesOf(ground).note({ group, member: name, lease });
    return await boardOf(ground).take(nameOf(ground, group, name), options?.signal);
  },
});

export const reply = recipeCall({
  name: 'messages.answer',
  verb: 0xa1,
  whenBroken: 'retry',
  args: shape.record({ ...member, answers: shape.list(answer) }),
  result: shape.flag,
  async run(ground, { group, member: name, answers }) {
    boardOf(ground).answer(nameOf(ground, group, name), answers);
    return true;
  },
});

/** It takes no more: what it has not taken is refused. */
export const leave = recipeCall({
  name: 'messages.leave',
  verb: 0xa2,
  whenBroken: 'retry',
  args: shape.record({ ...member, lease: shape.whole }),
  result: shape.flag,
  async run(ground, { group, member: name, lease }) {
    const close = (): void => boardOf(ground).leave(nameOf(ground, group, name));
    // Where only this stay can have an inbox, it ends though the space may be out of reach.
    if (ground.inboxes !== undefined) close();
    const own = await inboxesOf(ground).forget({ group, member: name, lease });
    if (own) close();
    return own;
  },
});

/** The member takes its messages at a listener, in the box of this name. */
export const note = recipeCall({
  name: 'messages.note',
  verb: 0xae,
  whenBroken: 'retry',
  args: shape.record({ ...member, lease: shape.whole, at: shape.text, box: shape.text }),
  result: shape.flag,
  async run({ engine }, { at, box, ...stay }) {
    const listener = { at, box };
    checkListener(listener);
    await noteAddress(engine, stay, formatListener(listener));
    return true;
  },
});

/** Brings a message to a member, here or at the host where it takes its messages. */
export const deliver = recipeCall({
  name: 'messages.deliver',
  verb: 0xa3,
  whenBroken: 'uncertain',
  waits: true,
  args: shape.record({
    ...member,
    from: shape.text,
    kind,
    term: shape.optional(shape.whole),
    body: shape.bytes,
    deadlineMs: shape.number,
    /** It comes from another host: who is not here is not looked for again. */
    relayed: shape.flag,
  }),
  result: delivery,
  async run(ground, args, options): Promise<Delivery> {
    checkDelivery(args.body, args.deadlineMs);
    const { group, member: name, deadlineMs, relayed, ...message } = args;
    const key = inboxOf(group, name);
    const here = boardOf(ground).send(nameOf(ground, group, name), message, deadlineMs);
    if (here !== null) return await here;
    if (relayed) return refused(`${name} takes its messages elsewhere by now: try again`);
    const { entries } = await ground.engine.read({ key });
    const [inbox] = entries;
    if (inbox === undefined) return refused(`${name} takes no messages in ${group}`);
    if (inbox.value === '') return refused(`${name} is at a host that others cannot reach`);
    const { at, box } = parseListener(inbox.value) ?? { at: inbox.value, box: ground.namespace };
    return await elsewhere(() =>
      ground.peers.run(
        at,
        deliver,
        box,
        { ...args, relayed: true },
        { ...options, withinMs: deadlineMs },
      ),
    );
  },
});

/** @throws {WaymarkError} `invalid`, `too_large` */
export function checkDelivery(body: string, deadlineMs: number): void {
  const { messageBytesMax: max, deadlineMsMax } = limits;
  if (body.length > max) {
    const facts = { limit: 'messageBytesMax', max, actual: body.length };
    throw new WaymarkError('too_large', `a message of ${body.length} bytes: at most ${max}`, facts);
  }
  if (!(deadlineMs > 0 && deadlineMs <= deadlineMsMax)) {
    const shown = String(deadlineMs);
    throw new WaymarkError('invalid', `a deadline is up to ${deadlineMsMax} ms, not ${shown}`);
  }
}

/** What became of a message that was to be brought elsewhere. */
export async function elsewhere(run: () => Promise<Delivery>): Promise<Delivery> {
  try {
    return await run();
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    if (error.code === 'uncertain') {
      return { outcome: 'unknown', seen: true, body: '', why: error.message };
    }
    if (error.code === 'unavailable') return refused(`its host is out of reach: ${error.message}`);
    return refused(`its host did not take it (${error.code}): ${error.message}`);
  }
}

function inboxesOf(ground: RecipeGround): Inboxes {
  if (ground.inboxes !== undefined) return ground.inboxes;
  const { engine, peers } = ground;
  return {
    note: (stay) => noteAddress(engine, stay, peers.address ?? ''),
    forget: (stay) => forgetAddress(engine, stay, peers.address ?? ''),
  };
}

/**
 * Once per stay: the same address is not written again. Only who has the member's lease is given its messages.
 *
 * @throws {WaymarkError} `lost` when the member does not stand under this lease, or no more
 */
async function noteAddress(
  engine: Engine,
  { group, member: name, lease }: Stay,
  value: string,
): Promise<void> {
  const key = inboxOf(group, name);
  const known: Txn = {
    when: [
      { key, target: 'value', is: '=', to: value },
      { key, target: 'lease', is: '=', to: lease },
    ],
    otherwise: [{ type: 'put', key, value, lease }],
  };
  const entry = memberKey(pathToBytes(group), textToBytes(name));
  const { succeeded } = await engine.commit({
    when: [
      { key: entry, target: 'version', is: '>', to: 0 },
      { key: entry, target: 'lease', is: '=', to: lease },
    ],
    apply: [{ type: 'txn', txn: known }],
  });
  if (!succeeded) throw lostMembership(name, group);
}

/** Whoever has joined under the same id meanwhile keeps its address. @returns false when that is this one: the inbox here is its by now */
async function forgetAddress(
  engine: Engine,
  { group, member, lease }: Stay,
  value: string,
): Promise<boolean> {
  const key = inboxOf(group, member);
  const { succeeded, results } = await engine.commit({
    when: [{ key, target: 'lease', is: '=', to: lease }],
    apply: [{ type: 'delete', key }],
    otherwise: [{ type: 'read', key }],
  });
  const [result] = results;
  if (succeeded || result?.type !== 'read') return true;
  return result.reading.entries.every((entry) => entry.value !== value);
}

/** No part of it holds a NUL. */
function nameOf({ namespace }: RecipeGround, group: string, member: string): string {
  return [namespace, group, member].join('\0');
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function inboxOf(group: string, member: string): string {
  checkCanonical(group);
  checkMemberId(member);
  return inboxKey(pathToBytes(group), textToBytes(member));
}

export const messageCalls = [open, take, reply, leave, deliver, note] as const;
