import { isWaymarkError, type StashIndex, type StashKey, WaymarkError } from 'waymark';
import { keyFromJson, valueFromJson, valueToJson } from '../stash/key-json.js';

export interface BatchTally {
  put: number;
  deleted: number;
  got: number;
}

interface Operation {
  readonly kind: 'put' | 'delete' | 'get';
  readonly key: StashKey;
  readonly json: unknown;
  readonly value: Buffer | null;
  readonly ttlMs: number | undefined;
}

export interface FoundJson {
  readonly key: unknown;
  readonly found: boolean;
  readonly value?: string;
  readonly base64?: string;
}

/** Operations of one kind in a row are one batch of so many. */
const runMax = 1_000;
const runBytesMax = 1_048_576;

/**
 * Does operations in their order as they come, a bounded number of them in memory: `{"put":key,"value":…}`, with `ttlMs` if it is to go, `{"delete":key}`, `{"get":key}`.
 *
 * @returns lines: one for each get, and behind all the sums, or the error that ended it
 */
export async function* runBatch(
  index: StashIndex<Uint8Array>,
  lines: AsyncIterable<Readonly<Record<string, unknown>>>,
  { signal, tally }: { readonly signal: AbortSignal; readonly tally: BatchTally },
): AsyncGenerator<string> {
  try {
    for await (const run of runsOf(lines)) yield* runOne(index, run, signal, tally);
    yield `${JSON.stringify(tally)}\n`;
  } catch (error) {
    const known = isWaymarkError(error)
      ? error
      : new WaymarkError('internal', 'a fault of the server', {}, error);
    yield `${JSON.stringify({ ...tally, error: known.toJSON() })}\n`;
  }
}

async function* runsOf(
  lines: AsyncIterable<Readonly<Record<string, unknown>>>,
): AsyncGenerator<Operation[]> {
  let run: Operation[] = [];
  let bytes = 0;
  for await (const line of lines) {
    const next = operationOf(line);
    const [first] = run;
    const other = first !== undefined && (first.kind !== next.kind || first.ttlMs !== next.ttlMs);
    if (other || run.length >= runMax || bytes >= runBytesMax) {
      yield run;
      run = [];
      bytes = 0;
    }
    run.push(next);
    bytes += next.value?.length ?? 0;
  }
  if (run.length > 0) yield run;
}

async function* runOne(
  index: StashIndex<Uint8Array>,
  run: readonly Operation[],
  signal: AbortSignal,
  tally: BatchTally,
): AsyncGenerator<string> {
  const [first] = run;
  const keys = run.map(({ key }) => key);
  if (first?.kind === 'put') {
    const entries = run.map(({ key, value }) => [key, value as Uint8Array] as const);
    tally.put += await index.putMany(entries, { ttlMs: first.ttlMs, signal });
  } else if (first?.kind === 'delete') {
    tally.deleted += await index.deleteMany(keys, { signal });
  } else {
    let at = 0;
    for await (const [, value] of index.getEach(keys, { signal })) {
      yield `${JSON.stringify(foundToJson(run[at++]?.json, value))}\n`;
      tally.got++;
    }
  }
}

/** What is told of a `get`. @param json  its key */
export function foundToJson(json: unknown, value: Uint8Array | undefined): FoundJson {
  if (value === undefined) return { key: json, found: false };
  return { key: json, found: true, ...valueToJson(value) };
}

function operationOf(line: Readonly<Record<string, unknown>>): Operation {
  const kinds = (['put', 'delete', 'get'] as const).filter((kind) => kind in line);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    throw new WaymarkError('invalid', 'an operation is one of put, delete and get');
  }
  const json = line[kind];
  const ttlMs = line['ttlMs'];
  if (ttlMs !== undefined && typeof ttlMs !== 'number') {
    throw new WaymarkError('invalid', 'ttlMs is a number');
  }
  const value = kind === 'put' ? valueFromJson(line) : null;
  return { kind, key: keyFromJson(json), json, value, ttlMs };
}
