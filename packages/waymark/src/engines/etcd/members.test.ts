import { expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.js';
import { type Health, type Judged, Members } from './members.js';

class Fake implements Judged {
  readonly address: string;
  health: Health = 'well';
  passedOverUntil = 0;
  closed = false;
  /** How it is. */
  really: Health = 'well';
  looks = 0;

  constructor(address: string) {
    this.address = address;
  }

  close(): void {
    this.closed = true;
  }
}

function three(): { clock: FakeClock; members: Members<Fake>; all: readonly Fake[] } {
  const clock = new FakeClock();
  const all: Fake[] = [];
  const connect = (address: string): Fake => {
    const fake = new Fake(address);
    all.push(fake);
    return fake;
  };
  const look = (member: Fake): Promise<Health> => {
    member.looks++;
    return Promise.resolve(member.really);
  };
  const random = { next: () => 0, id: () => '' };
  const members = new Members(['a', 'b', 'c'], { clock, random, connect, look });
  return { clock, members, all };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('[K11] one that fails is passed over until it is well, and who is spoken to meanwhile is spoken to on', async () => {
  const { clock, members, all } = three();
  const [a, b] = all as [Fake, Fake, Fake];
  expect(members.pick()).toBe(a);
  a.really = 'away';
  members.failed(a);
  expect(members.pick()).toBe(b);
  for (let n = 0; n < 20; n++) {
    clock.advance(500);
    await settled();
    expect(members.pick()).toBe(b);
  }
  expect(a.looks).toBeGreaterThan(10);
  a.really = 'well';
  clock.advance(500);
  await settled();
  expect(members.pick()).toBe(b);
  b.really = 'away';
  members.failed(b);
  await settled();
  expect(members.pick().address).toBe('c');
  members.failed(members.pick());
  expect(members.pick()).toBe(a);
  members.close();
  expect(all.map(({ closed }) => closed)).toEqual([true, true, true]);
});

test('[K11] while none has a leader, none is asked that is away: not even the one that no call has met yet', async () => {
  const { clock, members, all } = three();
  const [a, b, c] = all as [Fake, Fake, Fake];
  a.really = 'leaderless';
  b.really = 'away';
  c.really = 'leaderless';
  members.pick();
  members.failed(a);
  await settled();
  clock.advance(100);
  await settled();
  const asked = Array.from({ length: 6 }, () => members.pick());
  expect(new Set(asked)).toEqual(new Set([a, c]));
  c.really = 'well';
  clock.advance(500);
  await settled();
  expect(Array.from({ length: 3 }, () => members.pick())).toEqual([c, c, c]);
  members.close();
});

test('[K11] one that is silent and says that it is well is passed over for five seconds, and so is who comes next and is gone', async () => {
  const { clock, members, all } = three();
  const [a, b, c] = all as [Fake, Fake, Fake];
  b.really = 'away';
  expect(await members.silent(members.pick())).toBe(true);
  await settled();
  expect([members.pick(), members.pick()]).toEqual([c, c]);
  c.really = 'away';
  members.failed(c);
  clock.advance(4_999);
  // None is left: each in turn.
  expect(new Set([members.pick(), members.pick(), members.pick()])).toEqual(new Set(all));
  clock.advance(1);
  expect([members.pick(), members.pick()]).toEqual([a, a]);
  a.really = 'leaderless';
  expect(await members.silent(a)).toBe(false);
  clock.advance(5_000);
  expect(a.passedOverUntil).toBe(Infinity);
  members.close();
});

test('[K11] members that are kept keep what is known of them, and who is gone is closed', () => {
  const { members, all } = three();
  const [a, b] = all as [Fake, Fake, Fake];
  members.failed(a);
  members.set(['b', 'd', 'a']);
  expect(members.pick()).toBe(b);
  expect(all.map(({ address, closed }) => `${address} ${closed}`)).toEqual([
    'a false',
    'b false',
    'c true',
    'd false',
  ]);
  members.close();
});
