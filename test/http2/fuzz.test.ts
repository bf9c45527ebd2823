import { Duplex } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { systemClock } from 'waymark/engine';
import { createOwnTransport } from '../../packages/server/src/http2/own/transport.js';
import type {
  Fields,
  ServedStream,
  StreamHandler,
} from '../../packages/server/src/http2/transport.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { mutate, type Session, validSession } from './sessions.js';

const seed = chooseSeed('test/http2/fuzz.test.ts');
const rounds = sized(400, 40_000);

const ok: Fields = [[':status', '200']];
const trailers: Fields = [['grpc-status', '0']];

/** One connection in memory: what the server says is kept. */
class Connection extends Duplex {
  readonly said: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.said.push(Buffer.from(chunk));
    callback();
  }
}

/** A handler that holds the transport to what it promises. */
class Held implements StreamHandler {
  readonly #stream: ServedStream;
  readonly #moody: SeededRandom | null;
  readonly #pieces: Buffer[] = [];
  whole = false;
  closes = 0;

  constructor(stream: ServedStream, moody: SeededRandom | null) {
    this.#stream = stream;
    this.#moody = moody;
    if (moody !== null) this.#act(moody.below(20));
  }

  data(bytes: Buffer): void {
    expect([this.whole, this.closes]).toEqual([false, 0]);
    expect(bytes.length).toBeGreaterThan(0);
    this.#pieces.push(bytes);
    if (this.#moody !== null) this.#act(this.#moody.below(20));
  }

  ended(): void {
    expect([this.whole, this.closes]).toEqual([false, 0]);
    this.whole = true;
    this.#stream.respond(ok);
    this.#stream.write(Buffer.concat(this.#pieces));
    this.#stream.end(trailers);
  }

  drained(): void {
    expect(this.closes).toBe(0);
  }

  closed(): void {
    expect(++this.closes).toBe(1);
  }

  /** What a handler may do at any time. */
  #act(choice: number): void {
    const stream = this.#stream;
    if (choice === 0) stream.reset(8);
    else if (choice === 1) stream.respond(ok, true);
    else if (choice === 2) stream.end(trailers);
    else if (choice === 3) stream.respond(ok);
    else if (choice === 4) stream.write(Buffer.alloc(100_000));
    else if (choice === 5) {
      stream.pause();
      setImmediate(() => stream.resume());
    }
  }
}

interface Outcome {
  readonly frames: { type: number; flags: number; id: number; payload: Buffer }[];
  readonly handlers: Held[];
  readonly over: boolean;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Says all that, in pieces cut anywhere. */
async function talk(
  random: SeededRandom,
  frames: readonly Buffer[],
  moody: boolean,
): Promise<Outcome> {
  const handlers: Held[] = [];
  const transport = createOwnTransport({
    clock: systemClock,
    streamsMax: 30,
    fieldBytesMax: 8_192,
    accept(stream) {
      const handler = new Held(stream, moody ? random : null);
      handlers.push(handler);
      return handler;
    },
  });
  const connection = new Connection();
  transport.serve(connection);
  const bytes = Buffer.concat(frames);
  for (let at = 0; at < bytes.length && !connection.destroyed;) {
    const length = random.pick([1, 9, 100, 5_000, 70_000, 70_000]);
    connection.push(bytes.subarray(at, at + length));
    at += length;
    if (random.below(4) === 0) await turn();
  }
  for (let i = 0; i < 4; i++) await turn();
  const over = connection.writableEnded;
  const said = Buffer.concat(connection.said);
  connection.destroy();
  await turn();
  await turn();
  for (const handler of handlers) expect(handler.closes).toBe(1);
  expect(transport.connections).toBe(0);
  return { frames: framesOf(said), handlers, over };
}

function framesOf(bytes: Buffer): Outcome['frames'] {
  const frames: Outcome['frames'] = [];
  for (let at = 0; at < bytes.length;) {
    expect(bytes.length - at).toBeGreaterThanOrEqual(9);
    const end = at + 9 + bytes.readUIntBE(at, 3);
    expect(end).toBeLessThanOrEqual(bytes.length);
    const [type = 0, flags = 0] = [bytes[at + 3], bytes[at + 4]];
    frames.push({
      type,
      flags,
      id: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, end),
    });
    at = end;
  }
  return frames;
}

/** Whatever the client said: what the server says is by the rules. */
function checkAnswers({ frames, over }: Outcome): void {
  expect(frames[0]?.type).toBe(4);
  const states = new Map<number, 'answering' | 'ended' | 'reset'>();
  let gone = false;
  for (const { type, flags, id, payload } of frames) {
    expect(gone).toBe(false);
    if (type === 7) gone = payload.readUInt32BE(4) !== 0;
    if (id === 0) continue;
    const state = states.get(id);
    expect([0, 1, 3, 8]).toContain(type);
    expect(payload.length).toBeLessThanOrEqual(16_384);
    if (type === 3) states.set(id, 'reset');
    else if (type === 8) expect(state).not.toBe('reset');
    else {
      // A body follows a head, and nothing an end.
      expect(state).toBe(type === 0 ? 'answering' : state === undefined ? undefined : 'answering');
      states.set(id, (flags & 1) !== 0 ? 'ended' : 'answering');
    }
  }
  if (gone) expect(over).toBe(true);
}

function checkBodies({ frames, over }: Outcome, { whole, cancelled }: Session): void {
  expect(over).toBe(false);
  for (const [id, body] of whole) {
    if (cancelled.has(id)) continue;
    const own = frames.filter((frame) => frame.id === id);
    const sent = Buffer.concat(own.filter(({ type }) => type === 0).map(({ payload }) => payload));
    expect(sent.equals(body), `the body of ${id}`).toBe(true);
    expect(own.at(-1)).toMatchObject({ type: 1, flags: 5 });
  }
}

async function withSeed(round: number, check: (random: SeededRandom) => Promise<void>) {
  const own = seed + round;
  try {
    await check(new SeededRandom(own));
  } catch (cause) {
    throw new Error(`round ${round}; again: SEED=${own} npx vitest run test/http2/fuzz.test.ts`, {
      cause,
    });
  }
}

test('sessions by the rules are answered by the rules, however they are cut', async () => {
  for (let round = 0; round < rounds / 3; round++) {
    await withSeed(round, async (random) => {
      const session = validSession(random);
      const outcome = await talk(random, session.frames, false);
      checkAnswers(outcome);
      checkBodies(outcome, session);
    });
  }
}, 3_600_000);

test('sessions with something wrong end, or go on rightly', async () => {
  let ended = 0;
  for (let round = 0; round < rounds; round++) {
    await withSeed(round, async (random) => {
      const session = validSession(random);
      const outcome = await talk(random, mutate(random, session.frames), random.below(2) === 0);
      checkAnswers(outcome);
      if (outcome.over) ended++;
    });
  }
  // Of both there are many.
  expect(ended).toBeGreaterThan(rounds / 10);
  expect(ended).toBeLessThan((rounds * 9) / 10);
}, 3_600_000);

/** What is in use once it grows no less: sockets that end, and what they held, go in turns of their own. */
async function settled(collect: () => void): Promise<number> {
  let least = Infinity;
  for (let same = 0; same < 5; same++) {
    await turn();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    if (heapUsed + arrayBuffers < least - 10_000) same = 0;
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

test('nothing is kept of connections that are gone', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const kept = async (times: number): Promise<number> => {
    for (let round = 0; round < times; round++) {
      const random = new SeededRandom(seed + round);
      await talk(random, mutate(random, validSession(random).frames), true);
    }
    return await settled(collect);
  };
  const before = await kept(200);
  const after = await kept(sized(300, 10_000));
  expect(after - before).toBeLessThan(8_000_000);
}, 3_600_000);
