import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { parseStat, signalGroup, systemGroups } from './process-group.js';

const failing = (code: string) => (): never => {
  throw Object.assign(new Error(code), { code });
};

test('[L11] only ESRCH says that a group is gone', () => {
  expect(signalGroup(7, 'SIGKILL', failing('ESRCH'))).toBe('gone');
  expect(signalGroup(7, 'SIGKILL', failing('EPERM'))).toBe('refused');
  const asked: unknown[] = [];
  expect(signalGroup(7, 'SIGTERM', (...kill) => asked.push(kill))).toBe('sent');
  expect(asked).toEqual([[-7, 'SIGTERM']]);
});

const stat = (name: string, state: string, threads: number): string =>
  `41 (${name}) ${state} 1 40 40 0 -1 4194304 100 0 0 0 3 1 0 0 20 0 ${threads} 0 5151 8499200 333`;

test.each([
  ['works', stat('sleep', 'S', 1), false],
  ['waits for a disk', stat('dd', 'D', 1), false],
  ['is called what it likes', stat('a) Z 1 9', 'R', 1), false],
  ['is a zombie', stat('sleep', 'Z', 1), true],
  ['is a zombie whose threads are all counted off', stat('sleep', 'Z', 0), true],
  ['has a first thread that ended, and another one', stat('java', 'Z', 2), false],
  ['is dead', stat('sleep', 'X', 1), true],
])('[L11] what /proc tells of a process that %s', (_what, line, dead) => {
  expect(parseStat(line)).toEqual({ group: 40, dead });
});

test('[L11] a process that ended while it was looked at is in no group', () => {
  expect(parseStat('').group).not.toBe(40);
});

test.runIf(process.platform === 'linux')(
  '[L11] a group has its members until it ends',
  async () => {
    const child = spawn('cat', { detached: true });
    const group = child.pid as number;
    expect(systemGroups.members(group)).toEqual([{ pid: group, dead: false }]);
    expect(systemGroups.signal(group, 'SIGKILL')).toBe('sent');
    await once(child, 'exit');
    expect(systemGroups.signal(group, 'SIGKILL')).toBe('gone');
    expect(systemGroups.members(group)).toEqual([]);
  },
);
