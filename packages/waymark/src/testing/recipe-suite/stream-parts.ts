import type { Membership } from '../../space/member-types.js';
import type { StreamHandler, StreamOutcome } from '../../space/stream-types.js';
import { eventually, same } from './expect.js';
import type { RecipeContext } from './suite.js';

/** What the cases of streams have in common. */

export const group = '/workers';

export const echo: StreamHandler = async function* (stream) {
  for await (const part of stream) yield part;
};

export function* numbers(count: number): Generator<number> {
  for (let at = 0; at < count; at++) yield at;
}

/** What a stream came to, without its words. */
export function told(outcome: StreamOutcome): string {
  return outcome.outcome === 'delivered' ? 'delivered' : `${outcome.outcome}, seen ${outcome.seen}`;
}

/** Never ends by itself, and says when it is left. */
export function endless(): {
  readonly parts: AsyncGenerator<number>;
  taken: number;
  left: boolean;
} {
  const source = { taken: 0, left: false };
  const run = async function* (): AsyncGenerator<number> {
    try {
      for (;;) yield source.taken++;
    } finally {
      source.left = true;
    }
  };
  return Object.assign(source, { parts: run() });
}

export async function pair(
  { a, b }: RecipeContext,
  handleStream: StreamHandler,
): Promise<{ readonly one: Membership; readonly two: Membership }> {
  const one = await a.namespace('n').members(group).join({ id: 'one' });
  const handle = (): string => 'here';
  const two = await b.namespace('n').members(group).join({ id: 'two', handle, handleStream });
  return { one, two };
}

/** What is taken of a source that nobody reads: all that is, once messages have gone to and fro long enough for more. */
export async function takenUnread(
  one: Membership,
  source: { readonly taken: number },
): Promise<number> {
  await eventually('the first parts', () => source.taken > 1);
  for (let at = 0; at < 30; at++) {
    same((await one.sendTo('two', at)).outcome, 'delivered', 'a round trip');
    await new Promise((resolve) => setImmediate(resolve));
  }
  return source.taken;
}
