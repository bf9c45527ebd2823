import { setTimeout as sleep } from 'node:timers/promises';
import type { Membership, Reply, Space } from 'waymark';
import type { SeededRandom } from '../faults/random.js';
import type { Contest } from './contest.js';
import type { Sent } from './message-faults.js';
import { type Body, monotonicMs } from './told.js';

const lanes = 4;
const pauseMsMax = 20;
const failShare = 0.05;

/** Keeps sending to whoever leads, until the work is done. @returns what became of each message */
export async function sendThroughout(
  space: Space,
  contest: Contest,
  random: SeededRandom,
  work: Promise<void>,
): Promise<readonly Sent[]> {
  const sender = await space.namespace('elections').members(contest.path).join();
  const sent: Sent[] = [];
  let done = false;
  const lane = async (number: number): Promise<void> => {
    for (let message = number; !done; message += lanes) {
      sent.push(await sendOne(sender, contest, message, random));
      await sleep(random.below(pauseMsMax));
    }
  };
  const sending = Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  await Promise.race([work, sending]).finally(() => (done = true));
  await sending;
  await work;
  await sender.release();
  return sent;
}

async function sendOne(
  sender: Membership,
  contest: Contest,
  message: number,
  random: SeededRandom,
): Promise<Sent> {
  const deadlineMs = random.pick([200, 1_000, 5_000]);
  const body: Body = { message, fails: random.next() < failShare };
  const knownTerm = contest.observed.at(-1) ?? 0;
  const sentAt = monotonicMs();
  const reply: Reply<{ term: number }> = await sender.send(body, { deadlineMs });
  const endedAt = monotonicMs();
  const delivered = reply.outcome === 'delivered';
  return {
    ...{ message, deadlineMs, sentAt, endedAt, knownTerm, outcome: reply.outcome },
    seen: delivered || reply.seen,
    by: reply.member,
    term: delivered ? reply.value.term : null,
  };
}
