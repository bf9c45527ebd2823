import {
  type ByteString,
  type CallOptions,
  type Engine,
  type Entry,
  type KeyRange,
  type Query,
  type Reading,
  WaymarkError,
} from 'waymark/engine';

/** Reads in one commit, below the limit of 128 operations. */
const atOnce = 100;
const pageSize = 1_000;
const turnsMax = 32;

/** What several queries answer, a hundred of them at one revision. */
export async function readAll(
  engine: Engine,
  queries: readonly Query[],
  call: CallOptions,
): Promise<{ readonly readings: readonly Reading[]; readonly revision: number }> {
  const readings: Reading[] = [];
  let revision = 0;
  for (let from = 0; from < queries.length; from += atOnce) {
    const part = queries.slice(from, from + atOnce);
    const apply = part.map((query) => ({ type: 'read', ...query }) as const);
    const outcome = await engine.commit({ apply }, call);
    revision = outcome.revision;
    for (const result of outcome.results) if (result.type === 'read') readings.push(result.reading);
  }
  return { readings, revision };
}

/** The entries under keys, at one revision. At most a hundred. */
export async function readKeys(
  engine: Engine,
  keys: readonly ByteString[],
  call: CallOptions,
): Promise<{ readonly entries: readonly (Entry | undefined)[]; readonly revision: number }> {
  const queries = keys.map((key) => ({ key }));
  const { readings, revision } = await readAll(engine, queries, call);
  return { entries: readings.map((reading) => reading.entries[0]), revision };
}

/** Every entry of a range, page by page. @param after  begins behind this key */
export async function* everyEntry(
  engine: Engine,
  range: KeyRange,
  call: CallOptions & { readonly after?: ByteString | undefined; readonly keysOnly?: boolean },
): AsyncGenerator<Entry> {
  const { signal, after, keysOnly = false } = call;
  let key = after === undefined ? range.key : `${after}\0`;
  for (;;) {
    const query = { ...range, key, keysOnly, limit: pageSize, uncounted: true };
    const { entries, more } = await engine.read(query, { signal });
    yield* entries;
    const last = entries.at(-1);
    if (!more || last === undefined) return;
    key = `${last.key}\0`;
  }
}

/** Does over what others were faster with. @param attempt  undefined when they were */
export async function untilWon<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let turn = 0; turn < turnsMax; turn++) {
    const won = await attempt();
    if (won !== undefined) return won;
  }
  const text = `others changed the same ${turnsMax} times meanwhile: try again`;
  throw new WaymarkError('unavailable', text, { retryAfterMs: 100 });
}
