import { describe, test } from 'vitest';
import { type Engine, mirror, openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { onElsewhere } from './elsewhere.js';
import { openFile, openMemory, runsOf } from './engines.js';

/** A mirror that stands. */
async function mirrored(engine: Engine, options: Parameters<typeof mirror>[1]): Promise<Engine> {
  return await new Promise((resolve) => {
    const made = mirror(engine, {
      ...options,
      told: ({ state }) => {
        if (state === 'standing') resolve(made);
      },
    });
  });
}

async function overOwn(open: () => Promise<OpenedEngine>): Promise<OpenedEngine> {
  const opened = await open();
  const engine = await mirrored(opened.engine, { clock: opened.clock });
  const close = async (): Promise<void> => {
    await engine[Symbol.asyncDispose]();
    await opened.close();
  };
  return { ...opened, engine, close };
}

async function overElsewhere(url: string): Promise<OpenedEngine> {
  const engine = await mirrored(await openEngine(url), {});
  const close = async (): Promise<void> => {
    for (const id of await engine.leases()) await engine.revoke(id);
    await engine[Symbol.asyncDispose]();
  };
  return { engine, close };
}

function suites(name: string, open: () => Promise<OpenedEngine>, runs: number): void {
  const suite = { name: `mirror over ${name}`, runner: { describe, test }, open };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('mirror.test.ts', runs) });
}

suites('memory', () => overOwn(openMemory), 200);
suites('file', () => overOwn(openFile), 20);
onElsewhere((name, url) => suites(name, () => overElsewhere(url()), 10));
