import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Members, type Membership, open } from 'waymark';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { type Broadcast, broadcastFaults, type SeenView } from './broadcast-faults.js';
import { type Child, startCrew, startServers } from './processes.js';

/** Broadcasts to the members of several processes that leave, join, are killed and start again meanwhile. */

const file = 'test/messages/broadcast.test.ts';
const crews = 5;
const each = 10;
const lanes = 4;
const ttlMs = 2_000;
const deadlineMs = 500;
const pauseMs = 40;
/** Steps from one kill to the next. */
const killEvery = 10;
/** However quick the broadcasts are. */
const killsMin = 3;

/** Lets members come and go until the work is done. */
class Churn {
  readonly tally = { toggles: 0, kills: 0 };
  readonly #urls: readonly string[];
  readonly #random: SeededRandom;
  readonly #crews: Child[] = [];

  constructor(urls: readonly string[], random: SeededRandom) {
    this.#urls = urls;
    this.#random = random;
  }

  async begin(): Promise<void> {
    for (let at = 0; at < crews; at++) this.#crews.push(await this.#start(at, 'first'));
  }

  async during(work: Promise<unknown>): Promise<void> {
    let done = false;
    void work.finally(() => (done = true)).catch(() => undefined);
    for (let step = 1; !done; step++) {
      const at = this.#random.below(crews);
      const crew = this.#crews[at] as Child;
      if (step % killEvery === 0) {
        await crew[Symbol.asyncDispose]();
        this.#crews[at] = await this.#start(at, `life-${++this.tally.kills}`);
      } else {
        crew.process.send(this.#random.below(each));
        await crew.hears();
        this.tally.toggles++;
      }
      await sleep(this.#random.below(pauseMs));
    }
  }

  async end(): Promise<void> {
    for (const crew of this.#crews) await crew[Symbol.asyncDispose]();
  }

  async #start(at: number, life: string): Promise<Child> {
    const url = this.#urls[at % this.#urls.length] as string;
    return await startCrew({ url, crew: `crew-${at}-${life}`, members: each, ttlMs });
  }
}

async function broadcastOnce(group: Members, sender: Membership, body: number): Promise<Broadcast> {
  const { epoch: from } = await group.list();
  const replies: Broadcast['replies'][number][] = [];
  let to: number | undefined;
  const began = performance.now();
  for await (const reply of sender.broadcast(body, { deadlineMs })) {
    replies.push(reply);
    to ??= (await group.list()).epoch;
  }
  return { body, from, to: to ?? from, deadlineMs, ms: performance.now() - began, replies };
}

test.each([1, 2])(
  '[X5 X8] broadcasts to 50 members of 5 processes that come and go, over %d servers: one result per member of the view, in time',
  { timeout: 1_200_000 },
  async (count) => {
    const random = new SeededRandom(chooseSeed(file));
    const { child, urls } = await startServers(count);
    await using _servers = child;
    await using space = await open(urls[0] as string);
    const group = space.namespace('crews').members('/all');
    const churn = new Churn(urls, random);
    const over = new AbortController();
    const views: SeenView[] = [];
    let viewed = (): void => undefined;
    const watching = (async () => {
      for await (const { epoch, members } of group.watch({ signal: over.signal })) {
        views.push({ epoch, ids: members.map(({ id }) => id) });
        viewed();
      }
    })().catch(() => undefined);
    try {
      await churn.begin();
      const handle = ({ body }: { readonly body: unknown }): string => `sender ${String(body)}`;
      const sender = await group.join({ id: 'sender', handle });
      const broadcasts: Broadcast[] = [];
      const lane = async (from: number): Promise<void> => {
        const until = sized(100, 1_000);
        for (let body = from; body < until || churn.tally.kills < killsMin; body += lanes)
          broadcasts.push(await broadcastOnce(group, sender, body));
      };
      const work = Promise.all(Array.from({ length: lanes }, (_, from) => lane(from)));
      await Promise.all([work, churn.during(work)]);
      // The watch has told all that the broadcasts can have seen.
      const last = await sender.update({ meta: 'last' }).then(() => group.list());
      while ((views.at(-1)?.epoch ?? 0) < (last.members.at(-1)?.revision ?? 0))
        await new Promise<void>((resolve) => (viewed = resolve));
      const replies = broadcasts.flatMap((one) => one.replies);
      const delivered = replies.filter(({ value }) => value !== undefined).length;
      console.log(
        `${broadcasts.length} broadcasts, ${replies.length} results, ${delivered} delivered; ` +
          `${churn.tally.toggles} left or joined, ${churn.tally.kills} processes killed; ` +
          `the slowest ended after ${Math.max(...broadcasts.map(({ ms }) => ms)).toFixed(0)} ms`,
      );
      expect(broadcasts.flatMap((one) => broadcastFaults(one, views))).toEqual([]);
      expect(churn.tally.kills).toBeGreaterThan(0);
      expect(delivered).toBeGreaterThan(0);
      expect(delivered).toBeLessThan(replies.length);
    } finally {
      over.abort();
      await watching;
      await churn.end();
    }
  },
);

const views: readonly SeenView[] = [
  { epoch: 1, ids: ['a'] },
  { epoch: 5, ids: ['a', 'b'] },
  { epoch: 9, ids: ['b'] },
];
const right: Broadcast = {
  ...{ body: 7, from: 4, to: 6, deadlineMs: 500, ms: 20 },
  replies: [{ member: 'b', value: 'b 7' }, { member: 'a' }],
};

test.each<[string, Partial<Broadcast>]>([
  ['two replies of one member', { replies: [{ member: 'a' }, { member: 'a' }] }],
  ['has the members that replied', { replies: [{ member: 'b' }] }],
  ['has the members that replied', { from: 1, to: 4 }],
  ['ended after 1600 ms of 500', { ms: 1_600 }],
  ['a replied "b 7"', { replies: [{ member: 'a', value: 'b 7' }, { member: 'b' }] }],
])('[checker] a broadcast is refused: %s', (what, forged) => {
  expect(broadcastFaults(right, views)).toEqual([]);
  expect(broadcastFaults({ ...right, ...forged }, views).join()).toContain(what);
});
