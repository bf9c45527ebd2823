import { startServer } from '@waymark/server';
import { open, type Space } from 'waymark';
import { createMemoryEngine, type Engine, ForwardingEngine } from 'waymark/engine';

export interface OneOfTwo {
  readonly url: string;
  readonly client: (owner: string) => Promise<Space>;
  readonly close: () => Promise<void>;
}

/** Two servers over one engine: each has it by an object of its own, as two processes would. */
export async function withServers(
  run: (first: OneOfTwo, second: OneOfTwo) => Promise<void>,
): Promise<void> {
  await using engine = createMemoryEngine();
  const first = await serveOne(engine);
  const second = await serveOne(engine);
  try {
    await run(first, second);
  } finally {
    await first.close();
    await second.close();
  }
}

export async function serveOne(engine: Engine): Promise<OneOfTwo> {
  const server = await startServer({
    listen: ['127.0.0.1:0'],
    engine: new ForwardingEngine(engine),
    logLevel: 'silent',
  });
  const url = `http://${server.addresses[0]}`;
  return { url, client: (owner) => open(url, { owner }), close: () => server.close() };
}
