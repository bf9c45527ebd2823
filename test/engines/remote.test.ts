import { describe, test } from 'vitest';
import { engineSuite, propertySuite } from 'waymark/testing';
import { openServed, openServedFile, runsOf } from './engines.js';

for (const [name, open] of [
  ['remote over memory', () => openServed('memory')],
  ['remote over file', openServedFile],
] as const) {
  const suite = { name, runner: { describe, test }, open };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('remote.test.ts', 100) });
}
