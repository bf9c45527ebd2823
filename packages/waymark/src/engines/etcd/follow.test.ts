import { PassThrough } from 'node:stream';
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { systemClock } from '../../core/system-clock.js';
import type { Batch } from '../../core/engine.js';
import type { OpenedStream } from './etcd-client.js';
import { follow } from './follow.js';
import {
  type StatusResponse,
  StatusResponseSchema,
  type Watch,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from './gen/etcd_pb.js';
import { Layout } from './layout.js';

const layout = new Layout('root');

/** What one stream says, and the release of its member; null: it does not tell. */
interface Said {
  readonly responses: readonly WatchResponse[];
  readonly version: string | null;
}

/** Follows one stream after the other. @returns what came, up to `until`, and where each stream was asked to begin */
async function followed(said: readonly Said[], until: number) {
  const stop = new AbortController();
  const starts: bigint[] = [];
  const left = [...said];
  const client = { stream: async () => opened(left.shift(), starts) };
  const batches: Batch[] = [];
  const options = { layout, clock: systemClock, previous: false, ranges: null };
  const noticed = (): void => undefined;
  const { signal } = stop;
  for await (const batch of follow(4, { ...options, client: client as never, signal, noticed })) {
    batches.push(batch);
    if (batch.revision >= until) break;
  }
  const told = batches.map(({ revision, changes }) => [
    revision,
    ...changes.map(({ entry }) => entry.key),
  ]);
  return { told, starts };
}

type WatchMethod = typeof Watch.method.watch;

function opened({ responses, version }: Said = { responses: [], version: null }, starts: bigint[]) {
  const stream = Object.assign(new PassThrough({ objectMode: true }), {
    cancel: () => stream.destroy(),
    write: ({ requestUnion }: WatchRequest) => {
      if (requestUnion.case === 'createRequest') starts.push(requestUnion.value.startRevision);
    },
  });
  for (const response of responses) stream.push(response);
  stream.push(null);
  const ask = async (): Promise<StatusResponse> => {
    if (version === null) throw new Error('no answer');
    return create(StatusResponseSchema, { version });
  };
  const made = { stream, ask, failed: () => undefined };
  return made as unknown as OpenedStream<WatchMethod['input'], WatchMethod['output']>;
}

/** Puts, each of a revision and a key. */
function events(...puts: readonly (readonly [number, string])[]): WatchResponse {
  return create(WatchResponseSchema, {
    events: puts.map(([revision, key]) => ({
      kv: { key: layout.key(key), modRevision: BigInt(revision) },
    })),
  });
}

function progress(revision: number): WatchResponse {
  return create(WatchResponseSchema, { header: { revision: BigInt(revision) } });
}

test('[K8] what a member that lags tells again is not told twice, and nothing after it is lost', async () => {
  const first = [events([5, 'a'], [5, 'b']), events([6, 'c']), events([5, 'a'], [5, 'b'])];
  const second = [events([5, 'a'], [6, 'c']), events([6, 'c'], [7, 'd'], [7, 'e'])];
  const said = [first, second].map((responses) => ({ responses, version: null }));
  const { told, starts } = await followed(said, 7);
  expect(told).toEqual([
    [5, 'a', 'b'],
    [6, 'c'],
    [7, 'd', 'e'],
  ]);
  expect(starts).toEqual([5n, 7n]);
});

test('[K8] events in pieces are told as the revision that they are', async () => {
  const piece = Object.assign(events([5, 'a']), { fragment: true });
  const said = [{ responses: [piece, events([5, 'b'])], version: null }];
  expect((await followed(said, 5)).told).toEqual([[5, 'a', 'b']]);
});

test('[K8] progress is believed by the release of the member that tells it', async () => {
  const responses = (revision: number): WatchResponse[] => [progress(revision)];
  const said = [
    { responses: responses(90), version: '3.4.24' },
    { responses: responses(80), version: null },
    { responses: responses(7), version: '3.5.8' },
    { responses: responses(60), version: '3.5.7' },
    { responses: [events([8, 'a'])], version: '3.5.7' },
  ];
  const { told, starts } = await followed(said, 8);
  expect(told).toEqual([[7], [8, 'a']]);
  expect(starts).toEqual([5n, 5n, 5n, 8n, 8n]);
});

test('[K8] an event that progress was told ahead of comes late, and is not lost', async () => {
  const said = [
    { responses: [progress(9), events([8, 'a']), events([10, 'b'])], version: '3.5.8' },
  ];
  expect((await followed(said, 10)).told).toEqual([[9], [8, 'a'], [10, 'b']]);
});
