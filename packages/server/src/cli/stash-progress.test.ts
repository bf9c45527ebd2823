import { expect, test } from 'vitest';
import type { StashMove } from 'waymark';
import { shownMove } from './stash-progress.js';

const move: StashMove = {
  phase: 'filling',
  ...{ paused: false, partitions: 1_024, of: 4_096, entries: 70_000 },
  ...{ leftMs: 41_200, waitingFor: ['a', 'b'], blockedBy: [] },
};

test('[D6.8] a move is shown as a bar, with the time it will take and who it waits for', () => {
  expect(shownMove(move)).toBe(
    'filling [#####...............] 1024 of 4096 partitions, 70000 entries, 42 s left; waits for a, b',
  );
});

test.each([
  [{ ...move, paused: true }, /^paused \[#{5}\.{15}\] .* entries; waits/],
  [{ ...move, leftMs: null }, /entries; waits/],
  [
    { ...move, blockedBy: ['c', 'd'] },
    /; cannot end without c, d, away: .*`waymark stash remove c d --accept-loss`$/,
  ],
  [{ ...move, partitions: 4_096, waitingFor: [] }, /^filling \[#{20}\] .* s left$/],
  [{ ...move, phase: 'settling' as const, partitions: 0, of: 0 }, /^settling; waits for a, b$/],
])('[D6.8] %j', (shown, expected) => {
  expect(shownMove(shown)).toMatch(expected);
});
