import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, type Space } from 'waymark';
import { type Served, serve } from './served.js';

/** Jobs that run once, and schedules, over REST: those who look need no process of their own. */

const ns = '/v1/ns/n';
let served: Served;
let space: Space;
beforeAll(async () => {
  served = await serve();
  space = await open(served.base, { owner: 'worker' });
});
afterAll(async () => {
  await space.close();
  await served[Symbol.asyncDispose]();
});

test('[O10] a job is shown running and done, listed, and forgotten: then it runs again', async () => {
  const jobs = space.namespace('n');
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  let began = (): void => undefined;
  const running = new Promise<void>((resolve) => (began = resolve));
  const result = jobs.once('/m/7', async () => {
    began();
    await finished;
    return 'moved';
  });
  await running;
  const shown = await served.call('GET', `${ns}/once/m/7`);
  expect(shown.json).toMatchObject({ state: 'running', owner: 'worker', waiters: [] });
  finish();
  expect(await result).toBe('moved');
  const done = await served.call('GET', `${ns}/once/m/7`);
  expect(done.json).toMatchObject({ state: 'done', owner: 'worker', value: 'moved', holders: [] });
  const listed = await served.call('GET', `${ns}/once/m?tree`);
  expect(listed.json).toMatchObject({ entries: [{ path: '/m/7', state: 'done' }], more: false });
  expect((await served.call('DELETE', `${ns}/once/m/7`)).json).toEqual({ forgotten: true });
  expect((await served.call('DELETE', `${ns}/once/m/7`)).json).toEqual({ forgotten: false });
  expect((await served.call('GET', `${ns}/once/m/7`)).json).toMatchObject({ state: 'open' });
  expect(await jobs.once('/m/7', () => 'again')).toBe('again');
});

test('[O10] schedules are listed with their leader, last and next run', async () => {
  let ran = 0;
  await using schedule = space.namespace('n').schedule('/s/a', { everyMs: 100 }, () => void ran++);
  while (ran === 0) await new Promise(setImmediate);
  expect(schedule.isLeader()).toBe(true);
  const { json } = await served.call('GET', `${ns}/schedules`);
  const [one] = json['entries'] as { last: number; next: number }[];
  expect(one).toMatchObject({
    path: '/s/a',
    leader: { owner: 'worker' },
    when: { everyMs: 100 },
  });
  expect((one?.next ?? 0) - (one?.last ?? 0)).toBeGreaterThanOrEqual(100);
});

test('[O10] what is asked badly is refused', async () => {
  for (const url of ['once/a?limit=0&tree', 'once/a?tree=maybe', 'schedules?limit=x', 'once/a//b'])
    expect((await served.call('GET', `${ns}/${url}`)).json, url).toMatchObject({ code: 'invalid' });
});
