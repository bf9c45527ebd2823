import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '@waymark/server';
import { createMemoryEngine, openFileEngine, openRemoteEngine } from 'waymark/engine';
import { FakeClock, type OpenedEngine } from 'waymark/testing';

export async function openMemory(): Promise<OpenedEngine> {
  const clock = new FakeClock();
  const engine = createMemoryEngine({ clock });
  return { engine, clock, close: async () => engine[Symbol.asyncDispose]() };
}

export async function openFile(): Promise<OpenedEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-suite-'));
  const clock = new FakeClock();
  const engine = await openFileEngine(directory, { clock });
  const close = async (): Promise<void> => {
    await engine[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  };
  return { engine, clock, close };
}

/** A whole server on loopback, spoken to over its one port; the engine's clock can be moved. */
export async function openServed(engineUrl: string): Promise<OpenedEngine> {
  const clock = new FakeClock();
  return { ...(await serve(engineUrl, clock)), clock };
}

/** The same on an engine that is elsewhere, whose leases end in real time. Nothing of them is left there. */
export async function openServedElsewhere(engineUrl: string): Promise<OpenedEngine> {
  const { engine, close } = await serve(engineUrl);
  const closeAll = async (): Promise<void> => {
    for (const id of await engine.leases()) await engine.revoke(id);
    await close();
  };
  return { engine, close: closeAll };
}

async function serve(engine: string, clock?: FakeClock): Promise<OpenedEngine> {
  const server = await startServer({ engine, listen: ['127.0.0.1:0'], clock, logLevel: 'silent' });
  const remote = await openRemoteEngine(`http://${server.addresses[0] ?? ''}`);
  const close = async (): Promise<void> => {
    await remote[Symbol.asyncDispose]();
    await server.close();
  };
  return { engine: remote, close };
}

export async function openServedFile(): Promise<OpenedEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-suite-'));
  // The key of what is sealed lies beside the data.
  const opened = await openServed(`file:${join(directory, 'data')}`);
  const close = async (): Promise<void> => {
    await opened.close();
    await rm(directory, { recursive: true });
  };
  return { ...opened, close };
}

const long = process.env['WAYMARK_LONG'] === '1';
const seed = process.env['WAYMARK_SEED'];

/** How often the property suite runs: in the long form as often on every engine. */
export function runsOf(
  file: string,
  short: number,
): { runs: number; seed?: number; replay: string } {
  const replay = `npx vitest run test/engines/${file}`;
  const runs = long ? 1_000 : short;
  return seed === undefined ? { runs, replay } : { runs, replay, seed: Number(seed) };
}
