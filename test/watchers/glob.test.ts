import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isWaymarkError, textToBytes } from 'waymark/engine';
import { ensureDebian } from '#services';
import {
  checkPattern,
  patternMatches,
  readPattern,
} from '../../packages/server/src/watchers/glob.js';
import { covers } from '../../packages/server/src/watchers/pattern-covers.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { someText, somePattern, textNear } from './generated-patterns.js';

const random = new SeededRandom(chooseSeed('test/watchers/glob.test.ts'));
let directory: string;
let child: ChildProcess;
let client: Redis;
let subscriber: Redis;

beforeAll(async () => {
  ensureDebian(['redis-server']);
  directory = await mkdtemp(join(tmpdir(), 'waymark-glob-'));
  const path = join(directory, 'redis.sock');
  const args = ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory];
  child = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', ...args], { stdio: 'ignore' });
  client = new Redis({ path, retryStrategy: () => 10 });
  client.on('error', () => {});
  await client.ping();
  subscriber = client.duplicate();
});

afterAll(async () => {
  client.disconnect();
  subscriber.disconnect();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  await rm(directory, { recursive: true, force: true });
});

/** By PSUBSCRIBE and PUBLISH. @returns the pairs that match, as `PATTERN<newline>TEXT` */
async function matchedByRedis(patterns: string[], texts: string[]): Promise<Set<string>> {
  const matched = new Set<string>();
  const told = (pattern: string, channel: string): void => {
    matched.add(`${pattern}\n${channel}`);
  };
  subscriber.on('pmessage', told);
  await subscriber.subscribe('over');
  await subscriber.psubscribe(...patterns);
  const over = new Promise<void>((resolve) => {
    const heard = (channel: string, message: string): void => {
      if (channel !== 'over' || message !== 'all') return;
      subscriber.off('message', heard);
      resolve();
    };
    subscriber.on('message', heard);
  });
  const pipeline = client.pipeline();
  for (const text of texts) pipeline.publish(text, '');
  await pipeline.publish('over', 'all').exec();
  await over;
  await subscriber.punsubscribe(...patterns);
  subscriber.off('pmessage', told);
  return matched;
}

test('[W1] patterns match exactly as Redis matches them', async () => {
  let pairs = 0;
  let matches = 0;
  const wrong: string[] = [];
  while (pairs < sized(40_000, 1_000_000)) {
    const patterns = new Set(['', '*', '[', '[^', '\\', '**?']);
    while (patterns.size < 60) patterns.add(somePattern(random));
    const texts = new Set(['', '/', 'a']);
    for (const pattern of patterns) texts.add(textNear(pattern, random));
    while (texts.size < 60) texts.add(someText(random, 6));
    const byRedis = await matchedByRedis([...patterns], [...texts]);
    for (const pattern of patterns) {
      const own = patternMatches(pattern);
      for (const text of texts) {
        pairs += 1;
        const expected = byRedis.has(`${pattern}\n${text}`);
        if (expected) matches += 1;
        if (own(text) !== expected)
          wrong.push(`${JSON.stringify([pattern, text])}: Redis says ${expected}`);
      }
    }
  }
  console.log(`${pairs} pairs, ${matches} of them match`);
  expect(wrong.slice(0, 10)).toEqual([]);
  expect(matches, 'the generator is of use').toBeGreaterThan(pairs / 20);
});

test('[W1] a pattern of thirty stars costs no more on a long text', () => {
  const text = 'a'.repeat(65_536);
  const patterns = ['*a'.repeat(30), `${'*a'.repeat(30)}*b`, `${'*a?[ab]'.repeat(30)}*b*`];
  const took = patterns.map((pattern) => {
    const { matches } = readPattern(pattern);
    const tries = Array.from({ length: 5 }, () => {
      const before = process.cpuUsage();
      expect(matches(text)).toBe(!pattern.includes('b', pattern.length - 3));
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000;
    });
    return Math.min(...tries);
  });
  console.log(`${took.map((ms) => ms.toFixed(2)).join(', ')} ms of CPU`);
  expect(Math.max(...took)).toBeLessThanOrEqual(5);
});

test('[W1] what is no pattern, too long, or matches no path is refused', () => {
  for (const wrong of [undefined, 42, '', 'orders/*', '/a[]', '[^/]*', '/[', '\ud83d/', '/\udc00'])
    expect(refusal(wrong), JSON.stringify(wrong)).toBe('invalid');
  expect(refusal(`/${'é'.repeat(512)}`)).toBe('too_large');
  for (const good of ['/', '*', '?*', '[/]a', '[^a]x', `/${'a'.repeat(1_023)}`, '/[^', '/\\'])
    expect(refusal(good), good).toBe(null);
});

function refusal(pattern: unknown): string | null {
  try {
    checkPattern(pattern);
    return null;
  } catch (error) {
    return isWaymarkError(error) ? error.code : String(error);
  }
}

test('[W5] one pattern covers another where it says so, and never else', () => {
  for (const [wide, narrow] of [
    ['*', '/orders/*'],
    ['/orders/*', '/orders/*/state'],
    ['/orders/*', '/orders/4?'],
    ['/a?*', '/a*?'],
    ['/[a-z]*', '/[b-d]x'],
    ['/[^a]', '/b'],
    ['/a\\*', '/a[*]'],
    ['**/', '*/'],
  ] as const)
    expect(covers(wide, narrow), `${wide} ${narrow}`).toBe(true);
  for (const [wide, narrow] of [
    ['/orders/*/state', '/orders/*'],
    ['/a?', '/a*'],
    ['/a?', '/é'],
    ['/[b-d]', '/[a-d]'],
    ['*', ''],
    ['', '*'],
  ] as const)
    expect(covers(wide, narrow), `${wide} ${narrow}`).toBe(false);
});

test('[W5] what is covered is matched: sampled', () => {
  let covered = 0;
  for (let round = 0; round < sized(60_000, 1_000_000); round++) {
    const narrow = somePattern(random);
    const wide = random.below(2) === 0 ? widened(narrow) : somePattern(random);
    if (!covers(wide, narrow)) continue;
    covered += 1;
    for (let sample = 0; sample < 5; sample++) {
      const text = textToBytes(textNear(narrow, random));
      if (readPattern(narrow).matches(text) && !readPattern(wide).matches(text))
        expect.fail(`${JSON.stringify({ wide, narrow, text })}`);
    }
  }
  console.log(`${covered} pairs where one covers the other`);
  expect(covered).toBeGreaterThan(5_000);
});

/** Some of it becomes `?` or `*`: as text, so that it may also become something else. */
function widened(pattern: string): string {
  const chars = [...pattern];
  const at = random.below(chars.length + 1);
  chars.splice(at, random.below(3), random.pick(['*', '?', '*', '[^b]', '[a-z/]']));
  return chars.join('');
}
