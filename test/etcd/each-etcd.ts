import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { afterAll, beforeAll, describe } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';
import { startPostgres } from '../support/postgres.js';
import { EtcdApi } from './client.js';

/** Waymark with either layer of HTTP/2 below it. */
export type EtcdKind =
  | 'waymark'
  | 'waymark on node:http2'
  | 'waymark on a file'
  | 'waymark on etcd'
  | 'waymark on PostgreSQL'
  | 'etcd 3.4'
  | 'etcd 3.5';

/** An etcd that a suite runs on. */
export interface Served {
  readonly kind: EtcdKind;
  readonly address: string;
  readonly api: EtcdApi;
}

/** How often quiet watches hear of progress where that can be set: here, and on etcd 3.5. */
export const progressNotifyMs = 200;

/** An etcd beneath Waymark counts what Waymark keeps in it as well: a revision there is the last change's, or a later one. */
export function isPresent(
  kind: EtcdKind,
  revision: bigint | number | undefined,
  last: bigint | number,
): boolean {
  return kind === 'waymark on etcd'
    ? Number(revision) >= Number(last)
    : Number(revision) === Number(last);
}

export function isElsewhere(kind: EtcdKind): boolean {
  return kind === 'waymark on etcd' || kind === 'waymark on PostgreSQL';
}

/** Declares a suite on Waymark over each engine, and on etcd itself, which shows that the suite is right. */
export function onEachEtcd(suite: (served: () => Served, kind: EtcdKind) => void): void {
  onFreshEtcds((start, kind) => suite(during(kind, start), kind));
}

/** As `onEachEtcd`, for tests of which each starts an etcd of its own. */
export function onFreshEtcds(suite: (start: StartAnEtcd, kind: EtcdKind) => void): void {
  describe('waymark', () => suite(() => waymark('own'), 'waymark'));
  const onNode = 'waymark on node:http2';
  describe(onNode, () => suite(() => waymark('node'), onNode));
  for (const [kind, prepare] of engines) describe(kind, () => suite(freshOn(prepare), kind));
  for (const version of ['3.4', '3.5'] as const) {
    if (orNotRun(`etcd-${version}`, `the suite on etcd ${version} itself`) === null) continue;
    const interval = `--experimental-watch-progress-notify-interval=${progressNotifyMs}ms`;
    const flags = ['--bcrypt-cost=4', ...(version === '3.5' ? [interval] : [])];
    describe(`etcd ${version}`, () =>
      suite(() => startEtcd({ version, flags }), `etcd ${version}`));
  }
}

export type StartAnEtcd = () => Promise<Started>;

export interface Started {
  readonly address: string;
  stop(): Promise<void>;
}

/** The engines beside memory, each with what it stands on. */
const engines: readonly (readonly [EtcdKind, () => Promise<Place>])[] = [
  ['waymark on a file', folder],
  ['waymark on etcd', etcds],
  ['waymark on PostgreSQL', schemas],
];

interface Place {
  /** The next engine with nothing in it. */
  next(): Promise<{ readonly url: string; leave(): Promise<void> }>;
  remove(): Promise<void>;
}

async function folder(): Promise<Place> {
  const path = await mkdtemp(join(tmpdir(), 'waymark-etcd-api-'));
  let made = 0;
  return {
    next: async () => ({ url: `file:${join(path, `data-${made++}`)}`, leave: async () => {} }),
    remove: () => rm(path, { recursive: true, force: true }),
  };
}

/** One for each: ids of leases are an etcd's, whatever root they are used in. */
async function etcds(): Promise<Place> {
  const next = async () => {
    const { address, stop } = await startEtcd();
    return { url: `etcd://${address}/waymark`, leave: stop };
  };
  return { next, remove: async () => {} };
}

async function schemas(): Promise<Place> {
  const { url, stop } = await startPostgres();
  let made = 0;
  const next = async () => ({ url: `${url}?schema=waymark_${made++}`, leave: async () => {} });
  return { next, remove: stop };
}

/** To be called while tests are declared. */
function freshOn(prepare: () => Promise<Place>): StartAnEtcd {
  let place: Place;
  beforeAll(async () => {
    place = await prepare();
  });
  afterAll(() => place.remove());
  return async () => {
    const { url, leave } = await place.next();
    const { address, close } = await startWaymark({ engine: url, progressNotifyMs });
    return { address, stop: () => close().then(leave) };
  };
}

async function waymark(http2: 'own' | 'node'): Promise<Started> {
  const { address, close } = await startWaymark({ progressNotifyMs, http2 });
  return { address, stop: close };
}

function during(kind: EtcdKind, start: StartAnEtcd): () => Served {
  let started: Started;
  let served: Served;
  beforeAll(async () => {
    started = await start();
    const { address } = started;
    served = { kind, address, api: new EtcdApi(address) };
  });
  afterAll(async () => {
    served.api[Symbol.dispose]();
    await started.stop();
  });
  return () => served;
}
