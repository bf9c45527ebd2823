import { expect, test } from 'vitest';
import { createMemoryEngine, ForwardingEngine, type Query, type Reading } from 'waymark/engine';
import { spaceOver } from '../support/spaces.js';

/** As an engine elsewhere under load: who has entered a barrier sees it again only once it is let. */
class SlowLook extends ForwardingEngine {
  readonly #held: Promise<void>;
  /** Resolves at the second look. */
  readonly second: Promise<void>;
  release!: () => void;
  #reached!: () => void;
  #looks = 0;

  constructor(engine: ConstructorParameters<typeof ForwardingEngine>[0]) {
    super(engine);
    this.#held = new Promise((resolve) => (this.release = resolve));
    this.second = new Promise((resolve) => (this.#reached = resolve));
  }

  override async read(query: Query): Promise<Reading> {
    // The first look finds no place; the second is the one after it was put.
    if (query.key.includes('b/round') && ++this.#looks === 2) {
      this.#reached();
      await this.#held;
    }
    return await super.read(query);
  }
}

test('[B2] who passed learns its generation though others have passed before it looked again', async () => {
  await using engine = createMemoryEngine();
  const slow = new SlowLook(engine);
  await using late = spaceOver(slow, 'late');
  await using quick = spaceOver(engine, 'quick');
  const wait = (space: typeof late): Promise<number> =>
    space.namespace('n').barrier('/round', { parties: 2 }).wait();
  const waiting = wait(late);
  await slow.second;
  expect(await wait(quick)).toBe(1);
  expect(await Promise.all([wait(quick), wait(quick)])).toEqual([2, 2]);
  expect(await Promise.all([wait(quick), wait(quick)])).toEqual([3, 3]);
  slow.release();
  expect(await waiting).toBe(1);
});
