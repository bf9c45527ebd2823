import { expect, test } from 'vitest';
import { WaymarkError } from 'waymark/engine';
import type { NodeState } from './node-service.js';
import { readyNode } from './node-ready.js';

const failed = new WaymarkError('unavailable', 'the disk refused a flush');

test.each<[NodeState, { writable: boolean; broken: WaymarkError | null }, boolean, string]>([
  ['starting', { writable: true, broken: null }, false, 'starting'],
  ['joining', { writable: true, broken: null }, false, 'joining'],
  ['active', { writable: true, broken: null }, true, 'active'],
  ['left', { writable: true, broken: null }, true, 'left'],
  ['active', { writable: false, broken: null }, true, 'active, takes no writes: no room'],
  ['active', { writable: false, broken: failed }, false, 'the disk refused a flush'],
])('[D4.4] a node that is %s, and may write as %o, is ready: %s', (state, store, ok, reason) => {
  expect(readyNode({ state, store })).toEqual({ ok, reason });
});
