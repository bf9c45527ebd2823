import { create, type MessageShape } from '@bufbuild/protobuf';
import { arrayToBytes } from '../../core/bytes.js';
import type { Clock } from '../../core/clock.js';
import type { Batch, Change, KeyRange, Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { rangeContains } from '../../core/ranges.js';
import type { EtcdClient, EtcdStream, OpenedStream } from './etcd-client.js';
import { eventType } from './enums.js';
import { readEntry, toNumber } from './entry-codec.js';
import { isStaleToken, toWaymarkError } from './etcd-errors.js';
import { compactedAt, soundProgress } from './facts.js';
import {
  type Event,
  Maintenance,
  Watch,
  WatchRequestSchema,
  type WatchResponseSchema,
} from './gen/etcd_pb.js';
import type { Layout } from './layout.js';

type WatchMethod = typeof Watch.method.watch;
type Opened = OpenedStream<WatchMethod['input'], WatchMethod['output']>;
type Stream = EtcdStream<WatchMethod['input'], WatchMethod['output']>;
type Response = MessageShape<typeof WatchResponseSchema>;

export interface FollowOptions {
  readonly client: Pick<EtcdClient, 'stream'>;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly previous: boolean;
  /** Null: all of the root. */
  readonly ranges: readonly KeyRange[] | null;
  readonly signal: AbortSignal;
  /** Told of what concerns the engine and not its entries. */
  readonly noticed: (notice: { readonly floor: Revision } | { readonly identity: string }) => void;
}

/** A stream that has said nothing for so long is asked whether it lives, and given up when it stays silent as long again. */
const quietMs = 5_000;
const retryMs = [50, 100, 200, 500, 1_000] as const;

/**
 * Every change under the root after `after`, in order, once. One stream of etcd, made anew at the last whole revision when it breaks, on
 * another member if need be.
 *
 * @throws {WaymarkError} `compacted`, with the point, when etcd's history was compacted beyond where it stood
 */
export async function* follow(after: Revision, options: FollowOptions): AsyncGenerator<Batch> {
  const { signal, clock, client } = options;
  let told = after;
  for (let failures = 0; ;) {
    signal.throwIfAborted();
    let failed: (error?: unknown) => void = () => {};
    let reason: unknown;
    try {
      const opened = await client.stream(Watch.method.watch);
      failed = opened.failed;
      for await (const batch of read(opened, told, options)) {
        failures = 0;
        told = Math.max(told, batch.revision);
        yield batch;
      }
    } catch (error) {
      signal.throwIfAborted();
      const failure = toWaymarkError(error, 'read');
      if (isFinal(failure) && !isStaleToken(error)) throw failure;
      reason = error;
    }
    failed(reason);
    const waitMs = retryMs[Math.min(failures++, retryMs.length - 1)] as number;
    await new Promise<void>((resolve) => clock.after(waitMs, resolve));
  }
}

function isFinal(error: WaymarkError): boolean {
  return ['compacted', 'superseded', 'denied', 'unauthenticated', 'invalid', 'internal'].some(
    (code) => error.code === code,
  );
}

/** One stream, until it ends. */
async function* read(
  { stream, ask }: Opened,
  after: Revision,
  options: FollowOptions,
): AsyncGenerator<Batch> {
  const { layout, signal } = options;
  // Each member has a release of its own, and another one once it was upgraded. One that does not tell it is not believed.
  const sound = ask(Maintenance.method.status, {}).then(
    ({ version }) => soundProgress(version),
    () => false,
  );
  const abort = (): void => stream.cancel();
  signal.addEventListener('abort', abort, { once: true });
  // Its end is told to the loop; an error that comes after the loop was left is of no interest.
  stream.on('error', () => {});
  const pulse = new Pulse(stream, options.clock);
  try {
    const { key, end: rangeEnd } = layout.rootRange;
    const startRevision = BigInt(after + 1);
    const value = { key, rangeEnd, startRevision, prevKv: options.previous, fragment: true };
    stream.write(create(WatchRequestSchema, { requestUnion: { case: 'createRequest', value } }));
    let fragments: Event[] = [];
    // Of events alone: should progress be told ahead of them, they come late and are not lost.
    let told = BigInt(after);
    for await (const response of stream as AsyncIterable<Response>) {
      pulse.beat();
      refuseEnd(response);
      if (response.created) continue;
      fragments.push(...response.events);
      if (response.fragment) continue;
      const isProgress = fragments.length === 0;
      // A member that lags may tell what was not asked for (etcd issue 15271).
      const events = fragments.filter(({ kv }) => kv !== undefined && kv.modRevision > told);
      fragments = [];
      told = events.at(-1)?.kv?.modRevision ?? told;
      if (events.length > 0) yield batchOf(events, options);
      else if (isProgress && (await sound)) yield bookmark(response, after);
    }
  } finally {
    pulse.stop();
    signal.removeEventListener('abort', abort);
    stream.cancel();
  }
}

function bookmark({ header }: Response, after: Revision): Batch {
  return { revision: Math.max(after, toNumber(header?.revision ?? 0n)), changes: [] };
}

function refuseEnd({ canceled, compactRevision, cancelReason }: Response): void {
  if (!canceled) return;
  if (compactRevision === 0n) throw toWaymarkError({ details: cancelReason }, 'read');
  throw compactedAt(toNumber(compactRevision));
}

/** Events come in whole revisions. In one in which a lease's marker vanishes everything does, with that lease. */
function batchOf(events: readonly Event[], options: FollowOptions): Batch {
  const { layout, ranges } = options;
  const changes: Change[] = [];
  const expired = new Set<bigint>();
  for (const { type, kv } of events) {
    if (kv === undefined) continue;
    const place = layout.read(kv.key);
    if (place.kind === 'lease' && type === eventType.delete) expired.add(kv.modRevision);
    else if (place.kind === 'floor') options.noticed({ floor: Number(arrayToBytes(kv.value)) });
    else if (place.kind === 'identity') options.noticed({ identity: arrayToBytes(kv.value) });
  }
  let revision = 0n;
  for (const event of events) {
    const { kv } = event;
    if (kv === undefined) continue;
    revision = kv.modRevision;
    if (layout.read(kv.key).kind !== 'entry') continue;
    const change = changeOf(event, layout, expired.has(kv.modRevision), options.previous);
    if (ranges === null || ranges.some((range) => rangeContains(range, change.entry.key))) {
      changes.push(change);
    }
  }
  return { revision: toNumber(revision), changes };
}

function changeOf(
  { type, kv, prevKv }: Event,
  layout: Layout,
  expired: boolean,
  withPrevious: boolean,
): Change {
  const entry = readEntry(layout, kv as NonNullable<typeof kv>);
  const kind = type === eventType.put ? 'put' : expired ? 'expire' : 'delete';
  if (!withPrevious) return { kind, entry };
  return { kind, entry, previous: prevKv === undefined ? null : readEntry(layout, prevKv) };
}

/** Notices a stream on which nothing comes any more: an idle one still answers when it is asked for its progress. */
class Pulse {
  readonly #stream: Stream;
  readonly #clock: Clock;
  #heard = true;
  #stop: () => void = () => {};

  constructor(stream: Stream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.#listen();
  }

  beat(): void {
    this.#heard = true;
  }

  stop(): void {
    this.#stop();
  }

  #listen(): void {
    this.#stop = this.#clock.after(quietMs, () => {
      if (!this.#heard) {
        this.#stream.destroy(new Error('etcd said nothing on a watch'));
        return;
      }
      this.#heard = false;
      const requestUnion = { case: 'progressRequest' as const, value: {} };
      this.#stream.write(create(WatchRequestSchema, { requestUnion }));
      this.#listen();
    });
  }
}
