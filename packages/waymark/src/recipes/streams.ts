import type { CallOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import { type RecipeCall, type RecipeGround, recipeCall } from '../core/recipe-call.js';
import * as shape from '../core/shape.js';
import { parseListener } from './listener-address.js';
import { Channels, sides, waitMsMax } from './channel.js';
import { inboxOf } from './inboxes.js';
import { checkDelivery, checkTaking, nameOf } from './messages.js';
import { type PipeEnd, type Pulled, pipeEnds, type Pushed } from './pipe.js';

/**
 * Streams between members (rules X10 to X17 in docs/spec/messaging.md). A stream is opened by a message, which is handed out as any other; the
 * member opens a channel at its host and answers with the channel's id. Then both ends push and pull, the sender's calls relayed to that
 * host. Every call is answered soon and may be repeated: parts are numbered.
 */

/** One for all hosts of this process over one engine. */
const known = new WeakMap<object, Channels>();

function channelsOf({ root, clock, random }: RecipeGround): Channels {
  const channels = known.get(root) ?? new Channels(clock, random);
  known.set(root, channels);
  return channels;
}

/** Beyond the time that a relayed call may wait there: then its host is taken to be out of reach. */
const relayGraceMs = 2_000;
/** Streams whose host is remembered: the oldest is looked for again. */
const routesMax = 10_000;
const routesKey = Symbol('routes of streams');
/** What a sender is told of a stream that is not there any more. */
const over: PipeEnd = { how: 'lost', why: 'the stream is over at the host of its member' };

const member = { group: shape.text, member: shape.text };

const place = {
  ...member,
  channel: shape.text,
  side: shape.choice(...sides),
  /** It comes from another host: a channel that is not here is not looked for again. */
  relayed: shape.flag,
};

const end = shape.nullable(shape.record({ how: shape.choice(...pipeEnds), why: shape.text }));

/** Opens a channel for a stream that was handed to the member. @throws {WaymarkError} `lost`, `overloaded` */
export const open = recipeCall({
  name: 'streams.open',
  verb: 0xa8,
  whenBroken: 'retry',
  args: shape.record({ ...member, lease: shape.leaseId, deadlineMs: shape.number }),
  result: shape.text,
  async run(ground, { group, member: name, lease, deadlineMs }) {
    checkDelivery('', deadlineMs);
    checkTaking(ground, { group, member: name, lease });
    return channelsOf(ground).open(nameOf(ground, group, name), deadlineMs);
  },
});

/** Writes parts as soon as there is room: its answer is back-pressure. */
export const push = recipeCall({
  name: 'streams.push',
  verb: 0xa9,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({ ...place, first: shape.whole, parts: shape.list(shape.bytes), end }),
  result: shape.record({ next: shape.whole, ended: shape.flag, cut: end }),
  async run(ground, args, options): Promise<Pushed> {
    checkParts(args.parts);
    const channel = channelsOf(ground).get(args.channel);
    if (channel !== undefined) return await channel.push(args.side, args, options?.signal);
    const there = await relay(ground, push, args, options);
    return there ?? { next: args.first, ended: true, cut: over };
  },
});

/** Reads what has come, as soon as anything has; none after a while: ask again. */
export const pull = recipeCall({
  name: 'streams.pull',
  verb: 0xaa,
  whenBroken: 'retry',
  waits: true,
  args: shape.record({ ...place, done: shape.whole, from: shape.whole, waitMs: shape.whole }),
  result: shape.record({ parts: shape.list(shape.bytes), end }),
  async run(ground, args, options): Promise<Pulled> {
    const channel = channelsOf(ground).get(args.channel);
    if (channel !== undefined) return await channel.pull(args.side, args, options?.signal);
    return (await relay(ground, pull, args, options)) ?? { parts: [], end: over };
  },
});

/** @throws {WaymarkError} `too_large` */
function checkParts(parts: readonly string[]): void {
  const { streamPartsMax, streamBytesMax } = limits;
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  if (parts.length > streamPartsMax) throw tooLarge('streamPartsMax', parts.length);
  if (bytes > streamBytesMax) throw tooLarge('streamBytesMax', bytes);
}

function tooLarge(limit: 'streamPartsMax' | 'streamBytesMax', actual: number): WaymarkError {
  const max = limits[limit];
  const text = `${actual} parts or bytes of a stream at once: at most ${max}`;
  return new WaymarkError('too_large', text, { limit, max, actual });
}

interface Place {
  readonly group: string;
  readonly member: string;
  readonly channel: string;
  readonly side: (typeof sides)[number];
  readonly relayed: boolean;
}

/** At the host of the member. @returns null where the channel cannot be. @throws {WaymarkError} `unavailable` */
async function relay<Args extends Place, Result>(
  ground: RecipeGround,
  call: RecipeCall<Args, Result>,
  args: Args,
  options: CallOptions | undefined,
): Promise<Result | null> {
  if (args.relayed || args.side === 'member') return null;
  const address = await routeOf(ground, args);
  if (address === undefined) return null;
  const late = new AbortController();
  const why = new WaymarkError('unavailable', `${address} does not answer`);
  const disarm = ground.clock.after(waitMsMax + relayGraceMs, () => late.abort(why));
  const given = options?.signal === undefined ? [] : [options.signal];
  const signal = AbortSignal.any([late.signal, ...given]);
  try {
    const relayed = { ...args, relayed: true };
    const withinMs = waitMsMax + relayGraceMs;
    const { at, box } = parseListener(address) ?? { at: address, box: ground.namespace };
    return await ground.peers.run(at, call, box, relayed, { signal, withinMs });
  } finally {
    disarm();
  }
}

/** The host of a channel never changes, also when its member has left since. */
async function routeOf(ground: RecipeGround, args: Place): Promise<string | undefined> {
  const routes = ground.remember(routesKey, () => new Map<string, string>());
  const remembered = routes.get(args.channel);
  if (remembered !== undefined) return remembered;
  const { entries } = await ground.engine.read({ key: inboxOf(args.group, args.member) });
  const address = entries[0]?.value;
  if (address === undefined || address === '' || address === ground.peers.address) return undefined;
  const [oldest] = routes.keys();
  if (routes.size >= routesMax && oldest !== undefined) routes.delete(oldest);
  routes.set(args.channel, address);
  return address;
}

export const streamCalls = [open, push, pull] as const;
