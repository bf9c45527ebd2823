import { expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { type CommandEnd, GroupEnd } from './group-end.js';
import type { Groups, Member, Signalled } from './process-group.js';

/** A group whose members do what they are told to here, under a lock of 10 s that is renewed until told otherwise. */
class Stage {
  readonly clock = new FakeClock();
  readonly interrupted = new AbortController();
  readonly lost = new AbortController();
  readonly signals: NodeJS.Signals[] = [];
  readonly warned: string[] = [];
  leftMs = 10_000;
  answer: Signalled = 'sent';
  members: readonly Member[] | null = [{ pid: 12, dead: false }];
  end: CommandEnd | undefined;
  readonly #end: GroupEnd;

  constructor() {
    const groups: Groups = {
      signal: (_group, signal) => {
        this.signals.push(signal);
        return this.answer;
      },
      members: () => this.members,
    };
    this.#end = new GroupEnd({
      ...{ group: 11, title: 'the lock on /a', ttlMs: 10_000, groups, clock: this.clock },
      hold: { signal: this.lost.signal, remainingMs: () => this.leftMs },
      interrupted: this.interrupted.signal,
      warn: (line) => this.warned.push(line),
    });
    void this.#end.over.then((end) => (this.end = end));
  }

  exited(code: number): void {
    this.#end.exited(code);
  }

  lose(): void {
    this.leftMs = 0;
    this.lost.abort();
  }

  /** @returns how it ended, once it has */
  async after(ms: number): Promise<CommandEnd | undefined> {
    this.clock.advance(ms);
    await Promise.resolve();
    return this.end;
  }
}

const kept =
  'waymark: the lock on /a is kept until these processes are gone, which could not be killed: 12\n';

test('[L11] a command that leaves nothing is over as it ends', async () => {
  const stage = new Stage();
  expect(await stage.after(60_000)).toBeUndefined();
  stage.answer = 'gone';
  stage.exited(3);
  expect(await stage.after(0)).toEqual({ code: 3, ended: false });
  expect(stage.clock.timers).toBe(0);
});

test.each<Signalled>(['sent', 'refused'])(
  '[L11] a group that KILL (%s) does not end keeps the lock, and that is told every 10 s',
  async (answer) => {
    const stage = new Stage();
    stage.answer = answer;
    stage.exited(3);
    await stage.after(1_900);
    expect(stage.warned).toEqual([]);
    await stage.after(200);
    expect(stage.warned).toEqual([kept]);
    expect(await stage.after(600_000)).toBeUndefined();
    expect(stage.warned.length).toBeGreaterThan(50);
    expect(stage.warned.length).toBeLessThan(62);
    stage.answer = 'gone';
    expect(await stage.after(1_000)).toEqual({ code: 3, ended: false });
    expect(stage.clock.timers).toBe(0);
  },
);

test('[L11] a group of zombies is gone, and one with a process that works among them is not', async () => {
  const stage = new Stage();
  stage.members = [
    { pid: 12, dead: false },
    { pid: 13, dead: true },
  ];
  stage.exited(0);
  await stage.after(2_100);
  expect(stage.warned).toEqual([kept]);
  stage.members = [
    { pid: 12, dead: true },
    { pid: 13, dead: true },
  ];
  expect(await stage.after(1_000)).toEqual({ code: 0, ended: false });
});

test('[L11] a group that refuses KILL and cannot be seen keeps the lock', async () => {
  const stage = new Stage();
  stage.answer = 'refused';
  stage.members = [];
  stage.exited(0);
  expect(await stage.after(60_000)).toBeUndefined();
  expect(stage.warned[0]).toContain('the lock on /a is kept');
});

test('[L11] without a /proc what KILL reached is waited for 2 s, what it did not for as long as it takes', async () => {
  const reached = new Stage();
  reached.members = null;
  reached.exited(4);
  expect(await reached.after(1_900)).toBeUndefined();
  expect(await reached.after(200)).toEqual({ code: 4, ended: false });
  expect(reached.warned).toHaveLength(1);
  expect(reached.warned[0]).toContain('it is not known');
  const refused = new Stage();
  refused.members = null;
  refused.answer = 'refused';
  refused.exited(4);
  expect(await refused.after(60_000)).toBeUndefined();
});

test('[L11] once the lock is lost, what cannot be killed is waited for 2 s, and told', async () => {
  const stage = new Stage();
  stage.answer = 'refused';
  stage.exited(3);
  await stage.after(30_000);
  stage.warned.length = 0;
  stage.lose();
  expect(await stage.after(1_900)).toBeUndefined();
  expect(await stage.after(200)).toEqual({ code: 3, ended: false });
  expect(stage.warned).toEqual([
    'waymark: these processes could not be killed and go on without the lock on /a: 12\n',
  ]);
});

test('[L11] a command that itself cannot be killed is waited for no longer once its lock is lost', async () => {
  const stage = new Stage();
  stage.lose();
  expect(await stage.after(3_000)).toEqual({ code: 137, ended: true });
  expect(stage.signals.slice(0, 2)).toEqual(['SIGTERM', 'SIGKILL']);
  expect(stage.clock.timers).toBe(0);
});

test('[L11] a command that is interrupted and cannot be killed keeps its lock, and that is told', async () => {
  const stage = new Stage();
  stage.interrupted.abort();
  await stage.after(9_900);
  expect(stage.signals).toEqual(['SIGTERM']);
  expect(await stage.after(2_200)).toBeUndefined();
  expect(stage.warned).toEqual([kept]);
  stage.answer = 'gone';
  stage.exited(137);
  expect(await stage.after(0)).toEqual({ code: 137, ended: false });
});

test('[L11] a lock that is not renewed any more is not said to be kept', async () => {
  const stage = new Stage();
  stage.leftMs = 900;
  expect(await stage.after(60_000)).toBeUndefined();
  expect(stage.warned).toEqual([]);
  stage.leftMs = 10_000;
  await stage.after(1_000);
  expect(stage.warned).toEqual([kept]);
});

test('[L11] TERM comes at a quarter of the TTL, KILL at a tenth', async () => {
  const stage = new Stage();
  stage.leftMs = 2_400;
  await stage.after(60);
  expect(stage.signals).toEqual(['SIGTERM']);
  stage.leftMs = 900;
  await stage.after(60);
  expect(stage.signals).toContain('SIGKILL');
  stage.answer = 'gone';
  stage.exited(143);
  expect(await stage.after(0)).toEqual({ code: 143, ended: true });
});
