import { expect, test } from 'vitest';
import { FakeClock } from './fake-clock.js';

test('timers run at their own time, in the order in which they are due', () => {
  const clock = new FakeClock(1_000);
  const ran: [string, number][] = [];
  const note = (name: string) => () => void ran.push([name, clock.now()]);
  clock.after(30, note('c'));
  clock.after(10, note('a'));
  clock.after(10, note('b'));
  clock.after(31, note('later'));
  clock.advance(30);
  expect(ran).toEqual([
    ['a', 1_010],
    ['b', 1_010],
    ['c', 1_030],
  ]);
  expect(clock.timers).toBe(1);
});

test('a timer set by a timer runs in the same advance when it falls due within it', () => {
  const clock = new FakeClock(0);
  const ran: number[] = [];
  const again = (): void => {
    ran.push(clock.now());
    clock.after(10, again);
  };
  clock.after(10, again);
  clock.advance(35);
  expect(ran).toEqual([10, 20, 30]);
  expect(clock.now()).toBe(35);
});

test('a cancelled timer does not run, and cancelling twice is harmless', () => {
  const clock = new FakeClock(0);
  let runs = 0;
  const cancel = clock.after(5, () => runs++);
  cancel();
  cancel();
  clock.advance(10);
  expect(runs).toBe(0);
});

test('delays beyond 2^31 ms wait as long as they say', () => {
  const clock = new FakeClock(0);
  let ran = false;
  clock.after(30 * 86_400_000, () => (ran = true));
  clock.advance(30 * 86_400_000 - 1);
  expect(ran).toBe(false);
  clock.advance(1);
  expect(ran).toBe(true);
});

test('turns run without being pushed, once, and also within an advance', async () => {
  const clock = new FakeClock(0);
  const ran: string[] = [];
  await new Promise<void>((resolve) => clock.nextTurn(resolve));
  clock.after(1, () => clock.nextTurn(() => ran.push('of a timer')));
  clock.nextTurn(() => ran.push('first'));
  clock.advance(1);
  expect(ran).toEqual(['first', 'of a timer']);
  await new Promise<void>((resolve) => clock.nextTurn(resolve));
  expect(ran).toEqual(['first', 'of a timer']);
});

test('the wall clock goes along, and a step of it moves nothing else', () => {
  const clock = new FakeClock(0, 500);
  clock.advance(10);
  clock.stepWall(-3_600_000);
  expect([clock.now(), clock.wallNow()]).toEqual([10, 510 - 3_600_000]);
});
