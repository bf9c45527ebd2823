import { type RecipeGround, recipeCall } from '../core/recipe-call.js';
import type { Txn } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import * as shape from '../core/shape.js';
import { textToBytes } from '../core/bytes.js';
import { inboxKey, memberKey } from '../space/layout.js';
import { checkMemberId, lostMembership } from './members.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { type Delivery, refused, Switchboard } from './switchboard.js';

/**
 * Messages (docs/spec/messaging.md). A member takes its messages at the host it is connected to; the host notes its own address beside the
 * member, under the member's lease, so that every other host knows where to bring a message. Nothing of a message touches the engine.
 */

/** One for all hosts of this process over one engine: they need no connection to reach each other. */
const boards = new WeakMap<object, Switchboard>();

function boardOf({ root, clock, random }: RecipeGround): Switchboard {
  const board = boards.get(root) ?? new Switchboard(clock, random);
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
    await noteAddress(ground, { group, member: name, lease });
    boardOf(ground).open(nameOf(ground, group, name));
    return true;
  },
});

/** Answers those before, and takes the member's next messages, as soon as there are any. None: ask again. */
export const take = recipeCall({
  name: 'messages.take',
  verb: 0xa0,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({ ...member, lease: shape.whole, answers: shape.list(answer) }),
  result: shape.list(incoming),
  async run(ground, { group, member: name, lease, answers }, options) {
    const board = boardOf(ground);
    const inbox = nameOf(ground, group, name);
    board.answer(inbox, answers);
    await noteAddress(ground, { group, member: name, lease });
    return await board.take(inbox, options?.signal);
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
  args: shape.record(member),
  result: shape.flag,
  async run(ground, { group, member: name }) {
    boardOf(ground).leave(nameOf(ground, group, name));
    const { results } = await ground.engine.commit({
      apply: [{ type: 'delete', key: inboxOf(group, name) }],
    });
    return results.some((result) => result.type === 'delete' && result.deleted > 0);
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
    const { group, member: name, from, kind: sort, term, body, deadlineMs, relayed } = args;
    const message = { from, kind: sort, term, body };
    const key = inboxOf(group, name);
    const here = boardOf(ground).send(nameOf(ground, group, name), message, deadlineMs);
    if (here !== null) return await here;
    if (relayed) return refused(`${name} takes its messages elsewhere by now: try again`);
    const { entries } = await ground.engine.read({ key });
    const [inbox] = entries;
    if (inbox === undefined) return refused(`${name} takes no messages in ${group}`);
    if (inbox.value === '') return refused(`${name} is at a host that others cannot reach`);
    return await elsewhere(() =>
      ground.peers.run(inbox.value, deliver, ground.namespace, { ...args, relayed: true }, options),
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

async function elsewhere(run: () => Promise<Delivery>): Promise<Delivery> {
  try {
    return await run();
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    if (error.code === 'unavailable') return refused(`its host is out of reach: ${error.message}`);
    if (error.code !== 'uncertain') throw error;
    return { outcome: 'unknown', seen: true, body: '', why: error.message };
  }
}

/**
 * Once per stay: the same address is not written again. Only who has the member's lease is given its messages.
 *
 * @throws {WaymarkError} `lost` when the member does not stand under this lease, or no more
 */
async function noteAddress(
  { engine, peers }: RecipeGround,
  { group, member: name, lease }: { group: string; member: string; lease: number },
): Promise<void> {
  const key = inboxOf(group, name);
  const value = peers.address ?? '';
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

/** No part of it holds a NUL. */
function nameOf({ namespace }: RecipeGround, group: string, member: string): string {
  return [namespace, group, member].join('\0');
}

/** @throws {WaymarkError} `invalid`, `too_large` */
function inboxOf(group: string, member: string): string {
  checkCanonical(group);
  checkMemberId(member);
  return inboxKey(pathToBytes(group), textToBytes(member));
}

export const messageCalls = [open, take, reply, leave, deliver] as const;
