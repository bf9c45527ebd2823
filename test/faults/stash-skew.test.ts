import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { isWaymarkError, open, type Space, type StashIndex } from 'waymark';
import { service } from '#services';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { chooseSeed, SeededRandom } from './random.js';
import { ServerProcess } from './server-process.js';
import { patience } from './stash-cluster.js';

/** Servers with a node each, whose wall clocks do not agree (quality.md, G19). */
const clocks = ['-3600s', '+0s', '+3600s', '+0.4s'] as const;
const writes = 10_000;
const lanes = 10;
const keysOfLane = 50;

let directory: string;
let etcd: RunningEtcd;
const servers: { readonly server: ServerProcess; readonly space: Space }[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-skew-'));
  etcd = await startEtcd();
  for (const clock of clocks) {
    const env = {
      LD_PRELOAD: service('libfaketime').path,
      FAKETIME: clock,
      DONT_FAKE_MONOTONIC: '1',
    };
    const flags = ['--stash', join(directory, clock), '--log-level', 'silent'];
    const server = await ServerProcess.start(`etcd://${etcd.address}/skew`, env, flags);
    servers.push({ server, space: await open(server.url) });
  }
});
afterEach(async () => {
  for (const { server, space } of servers.splice(0)) {
    await space[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }
  await etcd.stop();
  await rm(directory, { recursive: true, force: true });
});

const indexOf = (clock: (typeof clocks)[number]): StashIndex<number> => {
  const at = servers[clocks.indexOf(clock)];
  if (at === undefined) throw new Error(`no server has ${clock}`);
  return at.space.stash.index<number>('clocks');
};

test(`[D2.2 D2.3] clocks an hour behind, right, 400 ms and an hour ahead: the last of ${writes} writes that was acknowledged holds each time, and the one too far ahead is refused and stops nobody else`, async () => {
  const random = new SeededRandom(chooseSeed('test/faults/stash-skew.test.ts'));
  await vi.waitFor(async () => {
    const { nodes } = await (servers[0] as { space: Space }).space.stash.status();
    expect(nodes.filter(({ share }) => share > 0)).toHaveLength(clocks.length);
    expect(nodes.every(({ state }) => state === 'active')).toBe(true);
  }, patience);
  const refusals = new Map<string, number>();
  let acknowledged = 0;
  const lane = async (number: number): Promise<void> => {
    const last = new Map<string, number>();
    let key = '';
    for (let n = 0; n < writes / lanes; n++) {
      // The same one again half of the time, before its coordinator can have heard of the last by another key.
      if (n % 2 === 0) key = `${number}/${random.below(keysOfLane)}`;
      await indexOf(random.pick(['-3600s', '+0s', '+0.4s'])).put(key, n);
      last.set(key, n);
      acknowledged++;
      expect(await indexOf(random.pick(clocks)).get(key), `write ${n} of ${key}`).toBe(n);
      if (n % 50 !== 49) continue;
      const far = `far/${number}/${n}`;
      await ahead(far);
      // What it left on the node that believes it is in the way of this key, and of no other.
      await indexOf(random.pick(['-3600s', '+0s', '+0.4s']))
        .put(far, n, { deadlineMs: 2_000 })
        .catch(() => undefined);
    }
    const keys = [...last.keys()];
    expect(await indexOf('+0s').getMany(keys)).toEqual([...last.values()]);
  };
  const ahead = async (key: string): Promise<void> => {
    const error: unknown = await indexOf('+3600s')
      .put(key, 0)
      .then(() => null)
      .catch((reason: unknown) => reason);
    if (!isWaymarkError(error)) throw error ?? new Error(`${key} was taken an hour ahead`);
    expect(error.message).toMatch(
      /stamped 3[56]\d{5} ms ahead of this node's clock \(.*\): at most 500, set the clocks right/,
    );
    refusals.set(error.code, (refusals.get(error.code) ?? 0) + 1);
  };
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  process.stdout.write(
    `stash: ${acknowledged} writes by clocks 1 h apart, the last one held each time; an hour ahead: ${[...refusals].map(([code, times]) => `${times} ${code}`).join(', ')}\n`,
  );
  expect(acknowledged).toBe(writes);
  expect([...refusals.keys()].sort()).toEqual(['invalid', 'uncertain']);
}, 600_000);
