import { Bell } from '../core/bell.js';
import type * as types from './stream-types.js';

interface Sent<R> {
  readonly member: string;
  readonly stream: types.SentStream<R>;
}

type Item<R> = types.StreamReply<R> | types.StreamOutcome;

/** The replies of many streams as they come, one of each at hand, and the outcome of each behind its last. Leaving gives all of them up. */
export async function* gathered<R>(streams: readonly Sent<R>[]): AsyncGenerator<Item<R>, void> {
  const come: (() => Item<R>)[] = [];
  const bell = new Bell();
  let open = streams.length;
  const ask = ({ member, stream }: Sent<R>): void => {
    const end = async (): Promise<void> => {
      const outcome = await stream.outcome;
      come.push(() => {
        open--;
        return outcome.member === null ? { ...outcome, member } : outcome;
      });
    };
    const step = async (): Promise<void> => {
      const { value, done } = await stream.next();
      if (done === true) return await end();
      come.push(() => {
        ask({ member, stream });
        return { member, part: value };
      });
    };
    // What it throws is said by its outcome.
    void step()
      .catch(end)
      .then(() => bell.ring());
  };
  try {
    for (const one of streams) ask(one);
    while (open > 0) {
      await bell.until(() => come.length > 0);
      const next = come.shift();
      if (next !== undefined) yield next();
    }
  } finally {
    for (const { stream } of streams) void stream.return?.();
  }
}
