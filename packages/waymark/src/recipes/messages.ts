import { type RecipeGround, recipeCall, type Stay } from '../core/recipe-call.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import * as shape from '../core/shape.js';
import { checkName } from './checks.js';
import { inboxesOf, inboxOf, noteAddress } from './inboxes.js';
import { checkListener, formatListener, parseListener } from './listener-address.js';
import { lostMembership } from './members.js';
import { type Answer, type Delivery, messageKinds, refused, unknown } from './outgoing.js';
import { Switchboard } from './switchboard.js';

/**
 * Messages (docs/spec/messaging.md). A member takes its messages at the host it is connected to, or at a listener in its own process; the
 * address of either is noted beside the member, under the member's lease, so that every other host knows where to bring a message. Nothing of
 * a message touches the engine.
 */

/** One for all hosts of this process over one engine: they need no connection to reach each other. */
const boards = new WeakMap<object, Switchboard>();

function boardOf({ root, clock, random }: RecipeGround): Switchboard {
  const board = boards.get(root) ?? new Switchboard(clock, random);
  boards.set(root, board);
  return board;
}

const member = { group: shape.text, member: shape.text };
const kind = shape.choice(...messageKinds);

const incoming = shape.record({
  id: shape.whole,
  from: shape.text,
  kind,
  term: shape.optional(shape.whole),
  body: shape.bytes,
  guest: shape.flag,
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
  args: shape.record({ ...member, lease: shape.leaseId }),
  result: shape.flag,
  async run(ground, { group, member: name, lease }) {
    await inboxesOf(ground).note({ group, member: name, lease });
    openInbox(ground, { group, member: name, lease });
    return true;
  },
});

/** Answers those before, and takes the member's next messages, as soon as there are any. None: ask again. */
export const take = recipeCall({
  name: 'messages.take',
  verb: 0xa0,
  whenBroken: 'retry',
  waits: true,
  // Nothing is handed out to who is not there any more.
  endsWithCaller: true,
  args: shape.record({ ...member, lease: shape.leaseId, answers: shape.list(answer) }),
  result: shape.list(incoming),
  async run(ground, { group, member: name, lease, answers }, options) {
    const board = boardOf(ground);
    const inbox = nameOf(ground, group, name);
    bringAnswers(board, inbox, { group, member: name, lease }, answers);
    await inboxesOf(ground).note({ group, member: name, lease });
    openInbox(ground, { group, member: name, lease });
    return await board.take(inbox, lease, options?.signal);
  },
});

/** @throws {WaymarkError} `lost` to who has not the lease under which the messages were taken */
export const reply = recipeCall({
  name: 'messages.answer',
  verb: 0xa1,
  whenBroken: 'retry',
  args: shape.record({ ...member, answers: shape.list(answer), lease: shape.leaseId }),
  result: shape.flag,
  async run(ground, { group, member: name, answers, lease }) {
    const inbox = nameOf(ground, group, name);
    bringAnswers(boardOf(ground), inbox, { group, member: name, lease }, answers);
    return true;
  },
});

/** It takes no more: what it has not taken is refused. @throws {WaymarkError} `lost` to who has not its lease */
export const leave = recipeCall({
  name: 'messages.leave',
  verb: 0xa2,
  whenBroken: 'retry',
  args: shape.record({ ...member, lease: shape.leaseId }),
  result: shape.flag,
  async run(ground, { group, member: name, lease }) {
    boardOf(ground).leave(nameOf(ground, group, name), lease);
    return await inboxesOf(ground).forget({ group, member: name, lease });
  },
});

/** The member takes its messages at a listener, in the box of this name. */
export const note = recipeCall({
  name: 'messages.note',
  verb: 0xae,
  whenBroken: 'retry',
  args: shape.record({ ...member, lease: shape.leaseId, at: shape.text, box: shape.text }),
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
  endsWithCaller: true,
  args: shape.record({
    ...member,
    from: shape.text,
    kind,
    term: shape.optional(shape.whole),
    body: shape.bytes,
    deadlineMs: shape.number,
    /** It comes from another host: who is not here is not looked for again. */
    relayed: shape.flag,
    guest: shape.flag,
  }),
  result: delivery,
  async run(ground, args, options): Promise<Delivery> {
    checkDelivery(args.body, args.deadlineMs);
    checkName('sender of a message', args.from);
    options?.signal?.throwIfAborted();
    const { group, member: name, from, guest, kind: sort, term, body, deadlineMs, relayed } = args;
    const message = { from, guest, kind: sort, term, body };
    const key = inboxOf(group, name);
    const patience = { deadlineMs, signal: options?.signal };
    const here = boardOf(ground).send(nameOf(ground, group, name), message, patience);
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
  checkSize(body);
  const { deadlineMsMax } = limits;
  if (!(deadlineMs > 0 && deadlineMs <= deadlineMsMax)) {
    const shown = String(deadlineMs);
    throw new WaymarkError('invalid', `a deadline is up to ${deadlineMsMax} ms, not ${shown}`);
  }
}

/** Of a message, and of a reply. @throws {WaymarkError} `too_large` */
export function checkSize(body: string): void {
  const { messageBytesMax: max } = limits;
  if (body.length <= max) return;
  const facts = { limit: 'messageBytesMax', max, actual: body.length };
  throw new WaymarkError('too_large', `a message of ${body.length} bytes: at most ${max}`, facts);
}

/** What became of a message that was to be brought elsewhere. */
export async function elsewhere(run: () => Promise<Delivery>): Promise<Delivery> {
  try {
    return await run();
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    if (error.code === 'uncertain') {
      return unknown(error.message);
    }
    if (error.code === 'unavailable') return refused(`its host is out of reach: ${error.message}`);
    return refused(`its host did not take it (${error.code}): ${error.message}`);
  }
}

/** @throws {WaymarkError} `too_large`; `lost` to who has not the lease under which the messages were taken */
function bringAnswers(
  board: Switchboard,
  inbox: string,
  { group, member: name, lease }: Stay,
  answers: readonly Answer[],
): void {
  for (const { body } of answers) checkSize(body);
  if (!board.answer(inbox, lease, answers)) throw lostMembership(name, group);
}

/** Messages wait for the member here, until it is gone. */
function openInbox(ground: RecipeGround, stay: Stay): void {
  const gone = (signal: AbortSignal): Promise<void> => inboxesOf(ground).gone(stay, signal);
  boardOf(ground).open(nameOf(ground, stay.group, stay.member), stay.lease, gone);
}

/** @throws {WaymarkError} `lost` when the member does not take its messages here under this lease */
export function checkTaking(ground: RecipeGround, { group, member: name, lease }: Stay): void {
  const taking = boardOf(ground).isOpen(nameOf(ground, group, name), lease);
  if (!taking) throw lostMembership(name, group);
}

/** No part of it holds a NUL. */
export function nameOf({ namespace }: RecipeGround, group: string, member: string): string {
  return [namespace, group, member].join('\0');
}

export const messageCalls = [open, take, reply, leave, deliver, note] as const;
