import { describe, test } from 'vitest';
import { recorded, within } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { openMemory, runsOf } from './engines.js';

/** Its last byte has no successor, so the end of the prefix's range is a shorter string. */
const prefix = 'tenant/\xff';

async function openWithin(): Promise<OpenedEngine> {
  const opened = await openMemory();
  return { ...opened, engine: within(opened.engine, prefix) };
}

async function openRecorded(): Promise<OpenedEngine> {
  const opened = await openMemory();
  return { ...opened, engine: recorded(opened.engine, () => undefined) };
}

for (const [name, open, keyOverheadBytes] of [
  ['within over memory', openWithin, prefix.length],
  ['recorded over memory', openRecorded, 0],
] as const) {
  const suite = { name, runner: { describe, test }, open, keyOverheadBytes };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('wrapped.test.ts', 100) });
}
