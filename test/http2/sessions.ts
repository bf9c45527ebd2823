import type { Fields } from '../../packages/server/src/http2/transport.js';
import {
  block,
  data,
  frame,
  greeting,
  post,
  settings,
  word,
} from '../../packages/server/src/testing/raw-http2.js';
import type { SeededRandom } from '../faults/random.js';

/** What a client says in one connection, and what it may expect of it. */
export interface Session {
  readonly frames: Buffer[];
  /** The bodies of requests that were made whole, by stream. */
  readonly whole: Map<number, Buffer>;
  /** Streams that the client gave up. */
  readonly cancelled: Set<number>;
}

/** Requests of all sorts, interleaved, each by the rules. */
export function validSession(random: SeededRandom): Session {
  const session: Session = { frames: [], whole: new Map(), cancelled: new Set() };
  const open = new Map<number, Buffer[]>();
  const say = (...frames: Buffer[]): void => void session.frames.push(...frames);
  say(greeting([4, random.pick([65_535, 300, 1_000_000])]));
  let id = -1;
  for (let step = random.below(40); step >= 0; step--) {
    const running = [...open.keys()];
    const one = running.length === 0 ? 0 : random.pick(running);
    const choice = random.below(running.length === 0 ? 5 : 11);
    if (choice < 3) {
      id += 2;
      open.set(id, []);
      say(...head(random, id));
    } else if (choice === 3) say(random.pick(connectionFrames)(random));
    else if (choice === 4)
      say(
        frame(random.below(256), 0, 0, random.below(9) < 8 ? Buffer.alloc(0) : undefined).fill(
          0x42,
          3,
          4,
        ),
      );
    else if (choice === 5) {
      say(frame(3, 0, one, word(8)));
      session.cancelled.add(one);
      open.delete(one);
    } else if (choice === 6) say(frame(8, 0, one, word(1 + random.below(10_000))));
    else say(...body(random, one, open, session.whole));
  }
  for (const [one, pieces] of open) {
    say(data(one, '', true));
    session.whole.set(one, Buffer.concat(pieces));
  }
  // Room for all answers.
  say(settings([4, 2_000_000]), frame(8, 0, 0, word(100_000_000)));
  return session;
}

const connectionFrames: readonly ((random: SeededRandom) => Buffer)[] = [
  () => frame(6, 0, 0, Buffer.from('pingping')),
  (random) => settings([4, random.below(100_000)], [1, random.below(9_000)]),
  () => settings(),
  (random) => frame(8, 0, 0, word(1 + random.below(100_000))),
  (random) => frame(2, 0, 1 + 2 * random.below(20), Buffer.alloc(5)),
];

function head(random: SeededRandom, id: number): Buffer[] {
  const more: Fields = random.pick([
    [],
    [['te', 'trailers']],
    [['x-long', 'y'.repeat(random.below(5_000))]],
  ]);
  // One that goes into the table, to be evicted again, and to be named by its index.
  const indexed = Buffer.concat([
    Buffer.from('4003782d61', 'hex'),
    Buffer.of(3),
    word(random.below(2 ** 32))
      .subarray(1)
      .map((byte) => 0x61 + (byte & 15)),
  ]);
  const bytes = Buffer.concat([
    block([...post, ...more]),
    random.below(2) === 0 ? indexed : Buffer.alloc(0),
  ]);
  if (random.below(4) > 0) return [frame(1, 4, id, bytes)];
  const at = random.below(bytes.length);
  return [frame(1, 0, id, bytes.subarray(0, at)), frame(9, 4, id, bytes.subarray(at))];
}

function body(
  random: SeededRandom,
  id: number,
  open: Map<number, Buffer[]>,
  whole: Map<number, Buffer>,
): Buffer[] {
  const pieces = open.get(id) as Buffer[];
  const piece = Buffer.alloc(random.pick([0, 1, 100, 16_000]), random.below(256));
  pieces.push(piece);
  const end = random.below(3);
  if (end < 2) {
    open.delete(id);
    whole.set(id, Buffer.concat(pieces));
  }
  const padding = random.below(100);
  const padded = Buffer.concat([Buffer.of(padding), piece, Buffer.alloc(padding)]);
  const frames = [
    random.below(3) === 0 ? frame(0, end === 0 ? 9 : 8, id, padded) : data(id, piece, end === 0),
  ];
  if (end === 1) frames.push(frame(1, 5, id, block([['x-trailer', '1']])));
  return frames;
}

/** Something else than was meant, somewhere. */
export function mutate(random: SeededRandom, frames: readonly Buffer[]): Buffer[] {
  const mutated = frames.map((one) => Buffer.from(one));
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(mutated.length);
    const one = mutated[at] as Buffer;
    random.pick(mutations)(random, mutated, at, one);
    if (mutated.length === 0) break;
  }
  return mutated;
}

type Mutation = (random: SeededRandom, frames: Buffer[], at: number, one: Buffer) => void;

const mutations: readonly Mutation[] = [
  // A bit anywhere.
  (random, _frames, _at, one) => {
    if (one.length > 0) one[random.below(one.length)] = (one[0] as number) ^ (1 << random.below(8));
  },
  // A byte of a head: length, type, flags or stream.
  (random, _frames, _at, one) => {
    if (one.length >= 9) one[random.below(9)] = random.below(256);
  },
  // A flag.
  (random, _frames, _at, one) => {
    if (one.length >= 9) one[4] = (one[4] as number) ^ (1 << random.below(8));
  },
  (_random, frames, at) => void frames.splice(at, 1),
  (_random, frames, at, one) => void frames.splice(at, 0, one),
  (random, frames, at, one) =>
    void frames.splice(random.below(frames.length), 1, ...frames.splice(at, 1, one)),
  (random, frames, at, one) => void (frames[at] = one.subarray(0, random.below(one.length + 1))),
  (random, frames, at) => void frames.splice(at, 0, noise(random, random.below(50))),
  // A frame of any type, length and stream, its payload noise.
  (random, frames, at) => {
    const payload = noise(random, random.pick([0, 1, 4, 5, 6, 8, 100, 16_385]));
    const type = random.below(11);
    frames.splice(at, 0, frame(type, random.below(256), random.below(12), payload));
  },
  // A value of a field at its limits.
  (random, frames, at) => {
    const value = random.pick([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 65_536]);
    const one = random.pick([
      frame(8, 0, random.below(9), word(value)),
      settings([random.below(8), value]),
      frame(3, 0, random.below(9), word(value)),
      frame(7, 0, 0, word(value, value)),
    ]);
    frames.splice(at, 0, one);
  },
];

function noise(random: SeededRandom, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}
