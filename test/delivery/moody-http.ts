import { receivedDocument } from '@waymark/server/testing';
import type { SeededRandom } from '../faults/random.js';
import { type HeardRequest, startHttpReceiver } from '../support/http-receiver.js';
import type { Arrival } from './arrivals.js';
import type { Place } from './places.js';

/** What a receiver does with a request, and how often of a hundred. */
const moods: readonly (readonly [mood: Mood, share: number])[] = [
  ['accept', 78],
  ['fail', 6],
  ['busy', 4],
  ['close', 4],
  ['accept and close', 4],
  ['redirect', 2],
  ['hang', 2],
];

type Mood = 'accept' | 'fail' | 'busy' | 'close' | 'accept and close' | 'redirect' | 'hang';

/** A receiver that answers 200, 500, 429, nothing, something else, or ends the connection before it answers, with or without having taken what came. */
export async function moodyHttp(random: SeededRandom): Promise<Place> {
  const receiver = await startHttpReceiver();
  const arrivals: Arrival[] = [];
  let moody = true;
  let [open, mostAtOnce] = [0, 0];
  receiver.answer = (request) => {
    open += 1;
    mostAtOnce = Math.max(mostAtOnce, open);
    request.response.once('close', () => (open -= 1));
    const mood = moody ? moodOf(random) : 'accept';
    if (mood.startsWith('accept')) arrivals.push(...eventsIn(request));
    answer(request, mood);
  };
  return {
    name: 'http',
    uri: `http://127.0.0.1:${receiver.port}/rig`,
    each: 1,
    timeoutMs: 1_000,
    calm: async () => void (moody = false),
    arrivals: () => Promise.resolve(arrivals),
    facts: () => ({ requests: receiver.heard.length, mostAtOnce }),
    [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
  };
}

export function eventsIn({ body }: HeardRequest): Arrival[] {
  const read = JSON.parse(body.toString()) as object | object[];
  return (Array.isArray(read) ? read : [read]).map((one: object) => receivedDocument(one));
}

function moodOf(random: SeededRandom): Mood {
  let left = random.below(100);
  for (const [mood, share] of moods) {
    left -= share;
    if (left < 0) return mood;
  }
  return 'accept';
}

function answer({ response }: HeardRequest, mood: Mood): void {
  switch (mood) {
    case 'accept':
      return void response.writeHead(204).end();
    case 'fail':
      return void response.writeHead(500).end('x'.repeat(100_000));
    case 'busy':
      return void response.writeHead(429, { 'retry-after': '0' }).end();
    case 'redirect':
      return void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    case 'close':
    case 'accept and close':
      return void response.destroy();
    case 'hang':
      // Until the sender gives up.
      return;
  }
}
