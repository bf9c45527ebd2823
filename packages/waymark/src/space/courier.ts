import type { Clock, Random } from '../core/clock.js';
import type { CallOptions } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { Host } from '../core/host.js';
import { type ListenerAddress, parseListener } from '../recipes/listener-address.js';
import { inboxOf } from '../recipes/inboxes.js';
import { deliver, elsewhere } from '../recipes/messages.js';
import { type Delivery, refused } from '../recipes/outgoing.js';
import { withTime } from '../recipes/waiting.js';
import { boxes } from './listener-box.js';
import { reachListener } from './listener-peers.js';
import { HostPeers } from './peers.js';

/** Members whose way is remembered; the longest known is forgotten first. */
const targetsMax = 10_000;
/** Without a connection by then a call of a stream is tried again. */
const connectMsMax = 2_000;

export type Letter = Omit<Parameters<typeof deliver.run>[1], 'relayed'>;

/** A member of a group. */
export interface Addressee {
  readonly group: string;
  readonly member: string;
}

export interface CourierCall extends CallOptions {
  /** What members that ask for a token are shown. */
  readonly token: string | undefined;
  /** Should the host fall silent: beyond the message's own deadline, which the host keeps. */
  readonly withinMs: number;
}

/** Where a member takes its messages: at a listener, or, null, where its host knows to find it. */
type Way = ListenerAddress | null;

interface Target {
  /** Read from the space when it is first needed, and again once a message did not find the member there. */
  way: Promise<Way> | null;
  /** The way has been told. */
  known: boolean;
  /** Messages that wait to be told: a later one does not overtake them. */
  looking: number;
  /** Messages under way. */
  underWay: number;
}

/**
 * Brings messages to their members: to one that listens directly, from this process to its, over one connection an address; to every other by
 * the host. Messages to one member all go the same way, so none overtakes another: when one finds that the member has moved, it is brought
 * to the new place only if no other is under way, and refused else.
 */
export class Courier {
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #targets = new Map<string, Target>();
  /** Connections, by the token with which they are made. */
  readonly #peers = new Map<string | undefined, HostPeers>();

  constructor(host: Host, clock: Clock, random: Random) {
    this.#host = host;
    this.#clock = clock;
    this.#random = random;
  }

  /** At most once: it is brought a second time only where no handler has seen it. */
  async deliver(namespace: string, letter: Letter, call: CourierCall): Promise<Delivery> {
    const key = [namespace, letter.group, letter.member].join('\0');
    const target = this.#target(key);
    const until = this.#clock.now() + letter.deadlineMs;
    target.underWay++;
    try {
      const looked = this.#wayTo(target, namespace, letter);
      const told = target.known && target.looking === 0;
      const way = await (told ? looked : this.#told(target, looked, letter, call.signal));
      const first = await this.#bring(way, namespace, letter, until, call);
      if (first.outcome !== 'refused' || first.seen) return first;
      forget(target, looked);
      if (target.underWay > 1) return first;
      const again = this.#wayTo(target, namespace, letter);
      const next = await this.#told(target, again, letter, call.signal);
      if (next?.box === way?.box) return first;
      return await this.#bring(next, namespace, letter, until, call);
    } finally {
      target.underWay--;
      if (target.way === null && target.underWay === 0) this.#targets.delete(key);
    }
  }

  /** The calls of a stream, to where its member takes messages. */
  towards(to: Addressee, token: string | undefined): Pick<Host, 'run'> {
    return {
      run: async (call, namespace, args, options) => {
        const target = this.#target([namespace, to.group, to.member].join('\0'));
        const way = await unlessAborted(this.#wayTo(target, namespace, to), options?.signal);
        if (way === null) return await this.#host.run(call, namespace, args, options);
        const relayed = { ...args, relayed: true };
        const here = boxes.get(way.box);
        if (here !== undefined) return await here.run(call, way.box, relayed, options);
        const within = { ...options, withinMs: connectMsMax };
        return await this.#peersWith(token).run(way.at, call, way.box, relayed, within);
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#peers.values()].map((peers) => peers.close()));
  }

  #target(key: string): Target {
    let target = this.#targets.get(key);
    if (target !== undefined) return target;
    if (this.#targets.size >= targetsMax) this.#forgetOldest();
    target = { way: null, known: false, looking: 0, underWay: 0 };
    this.#targets.set(key, target);
    return target;
  }

  #forgetOldest(): void {
    for (const [key, { underWay }] of this.#targets) {
      if (underWay > 0) continue;
      this.#targets.delete(key);
      return;
    }
  }

  #wayTo(target: Target, namespace: string, to: Addressee): Promise<Way> {
    if (target.way !== null) return target.way;
    const looked = this.#look(namespace, to);
    target.way = looked;
    looked.then(
      () => (target.known = target.way === looked),
      () => forget(target, looked),
    );
    return looked;
  }

  /** @throws {WaymarkError} `unavailable` when the message is late by then */
  async #told(
    target: Target,
    way: Promise<Way>,
    { member, deadlineMs }: Letter,
    given: AbortSignal | undefined,
  ): Promise<Way> {
    const why = `where ${member} takes its messages was not told within ${deadlineMs} ms`;
    const error = (): WaymarkError => new WaymarkError('unavailable', why);
    const late = withTime(this.#clock, deadlineMs, given, error);
    target.looking++;
    try {
      return await unlessAborted(way, late.signal);
    } finally {
      target.looking--;
      late.stop();
    }
  }

  async #look(namespace: string, { group, member }: Addressee): Promise<Way> {
    const { entries } = await this.#host.read(namespace, { key: inboxOf(group, member) });
    const [inbox] = entries;
    return inbox === undefined ? null : parseListener(inbox.value);
  }

  async #bring(
    way: Way,
    namespace: string,
    letter: Letter,
    until: number,
    { signal, token, withinMs }: CourierCall,
  ): Promise<Delivery> {
    const deadlineMs = until - this.#clock.now();
    if (deadlineMs <= 0) return refused(`it was not on its way within ${letter.deadlineMs} ms`);
    const args = { ...letter, deadlineMs, relayed: way !== null };
    if (way === null) return await this.#host.run(deliver, namespace, args, { signal, withinMs });
    const { at, box } = way;
    const here = boxes.get(box);
    if (here === undefined) {
      const options = { signal, withinMs: deadlineMs };
      return await elsewhere(() => this.#peersWith(token).run(at, deliver, box, args, options));
    }
    if (here.token !== undefined && here.token !== token) return refused(`${at} asks for a token`);
    return await here.run(deliver, box, args, { signal });
  }

  #peersWith(token: string | undefined): HostPeers {
    let peers = this.#peers.get(token);
    if (peers === undefined) {
      const reach = reachListener(this.#clock, this.#random, token);
      peers = new HostPeers(this.#clock, undefined, reach);
      this.#peers.set(token, peers);
    }
    return peers;
  }
}

function forget(target: Target, looked: Promise<Way>): void {
  if (target.way !== looked) return;
  target.way = null;
  target.known = false;
}

/** The answer, or the signal's reason if that comes first; the answer may be waited for by others. */
async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await answer;
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
