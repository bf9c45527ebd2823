import { createMemoryEngine, type Engine } from 'waymark/engine';
import { expect, test, vi } from 'vitest';
import { process, type Running } from './processors.js';
import { register } from './registered.js';
import { type Answer, failing, Sinks } from './sink.js';

/** More than a lane keeps in memory: the rest comes from history. */
const written = 3_000;
/** So little is kept of history that nobody needs. */
const least = { revisions: 1, bytes: 1 };

interface Bounds {
  readonly neededMax?: { readonly revisions?: number; readonly bytes?: number };
  readonly heldMs?: number;
}

/** What an endpoint is told that accepts nothing until so much was written. @param until  and until this holds then */
async function toldLate(
  { neededMax, heldMs }: Bounds,
  answer: Answer | null,
  until: (running: Running, head: number) => boolean = () => true,
): Promise<{ readonly kinds: readonly string[]; readonly paths: readonly string[] }> {
  const sinks = new Sinks();
  let running: Running | null = null;
  const needed = (): number => running?.processor.needed ?? 0;
  await using engine: Engine = createMemoryEngine({ history: { ...least, neededMax, needed } });
  const waits = { retry: Array.from({ length: 100 }, () => 100), timeoutMs: 60_000 };
  await register(engine, { pattern: '/o/*', batch: 100, ...waits });
  running = process(sinks, { engine, heldMs, checkpointMs: 20 });
  await using _running = running;
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  sinks.answer('a', answer ?? (() => held));
  const ns = running.space.namespace('default');
  for (let n = 0; n < written; n++) await ns.put(`/o/${n}`, n);
  const { revision } = await engine.status();
  await vi.waitFor(() => expect(until(running as Running, revision)).toBe(true), 20_000);
  // Each change that comes drops two that are needed no more.
  for (let n = 0; n < written; n++) await ns.put('/elsewhere', n);
  await ns.put('/o/end', written);
  sinks.answer('a', null);
  release();
  await sinks.until(() => sinks.paths('a').includes('/o/end'), 30_000);
  const events = sinks.accepted('a');
  return { kinds: events.map(({ kind }) => kind), paths: events.map(({ path }) => path) };
}

const all = [...Array.from({ length: written }, (_, n) => `/o/${n}`), '/o/end'];

test('[W6.1] what an endpoint that is behind still needs of history is kept: it is told everything', async () => {
  expect(await toldLate({}, null)).toEqual({ kinds: all.map(() => 'put'), paths: all });
}, 60_000);

const ofNeeded = (running: Running, head: number): boolean => running.processor.needed >= head;

test.each<[string, Bounds, Answer | null, typeof ofNeeded | undefined]>([
  ['revisions', { neededMax: { revisions: 1_500 } }, null, undefined],
  ['bytes', { neededMax: { bytes: 100_000 } }, null, undefined],
  ['time, of one that is slow', { heldMs: 300 }, null, ofNeeded],
  [
    'time, of one that fails',
    { heldMs: 300 },
    () => failing()({} as never, AbortSignal.abort()),
    ofNeeded,
  ],
])(
  '[W6.1][W3.4] history is held back up to a bound of %s: beyond it the endpoint is told from where to where it missed',
  async (_bound, bounds, answer, until) => {
    const { kinds, paths } = await toldLate(bounds, answer, until);
    expect(kinds.filter((kind) => kind === 'resync')).toHaveLength(1);
    // In order before it, and then all that is there, though some of it was told already.
    const at = kinds.indexOf('resync');
    expect(paths.slice(0, at)).toEqual(all.slice(0, at));
    expect(new Set(paths.slice(at + 1))).toEqual(new Set(all));
  },
  60_000,
);
