import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem, send } from '../api.js';
import { Chart } from '../chart.js';
import { usePoll } from '../hooks.js';
import { readInUse } from '../in-use.js';
import { parseMetrics, quantile, type Samples, sum } from '../metrics.js';
import type { GroupState } from '../model.js';
import { Badge, Page, Trouble } from '../ui.js';
import type { ViewProps } from '../views.js';

const everyMs = 2_000;
/** Five minutes. */
const pointsMax = 150;
const requests = 'waymark_http_request_seconds';
const membership = { of: 'groups', collection: 'members' };

interface Point {
  /** Unix time, in s. */
  readonly at: number;
  readonly writes: number | null;
  readonly requests: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

interface Look {
  readonly at: number;
  readonly samples: Samples;
}

/** How the server that is asked does now, and did in the last minutes. */
export function Overview({ ns }: ViewProps): JSX.Element {
  const { data, problem } = usePoll('metrics', look, everyMs);
  const health = usePoll('readyz', readiness, 5_000);
  const groups = usePoll(ns, (signal) => readInUse<GroupState>(ns, membership, signal), 5_000);
  const members = groups.data?.all.reduce((count, one) => count + one.members.length, 0) ?? null;
  const points = usePoints(data);
  const samples = data?.samples ?? [];
  const last = points.at(-1);
  return (
    <Page title="Overview" lead="This server, as it is now.">
      <Trouble problem={problem} />
      <ul class="cards">
        <li class="card">
          <span>Engine</span>
          <b>
            <Badge kind={health.data?.ready === true ? 'good' : 'bad'}>
              {health.data === null ? 'asked' : health.data.ready ? 'writable' : 'not writable'}
            </Badge>
          </b>
          <span>{health.data?.why}</span>
        </li>
        {figures.map(({ title, name, unit }) => (
          <Figure title={title} value={sum(samples, name)} unit={unit} key={name} />
        ))}
        <Figure title={`Members in ${ns}`} value={members} />
      </ul>
      <div class="columns">
        <Chart
          title="Writes a second"
          times={points.map(({ at }) => at)}
          series={[{ label: 'writes', values: points.map(({ writes }) => writes) }]}
          caption={`${shown(last?.writes)} now`}
        />
        <Chart
          title="REST requests a second"
          times={points.map(({ at }) => at)}
          series={[{ label: 'requests', values: points.map((point) => point.requests) }]}
          caption={`${shown(last?.requests)} now`}
        />
        <Chart
          title="Latency of REST, ms"
          times={points.map(({ at }) => at)}
          series={[
            { label: 'p50', values: points.map(({ p50Ms }) => p50Ms) },
            { label: 'p99', values: points.map(({ p99Ms }) => p99Ms) },
          ]}
          caption={`p50 ${shown(last?.p50Ms)}, p99 ${shown(last?.p99Ms)} now`}
        />
      </div>
    </Page>
  );
}

const figures = [
  { title: 'Revision', name: 'waymark_revision', unit: '' },
  { title: 'Keys', name: 'waymark_keys', unit: '' },
  { title: 'Leases', name: 'waymark_leases', unit: '' },
  { title: 'Watch streams', name: 'waymark_watch_streams', unit: '' },
  { title: 'Connections', name: 'waymark_connections', unit: '' },
  { title: 'Data', name: 'waymark_bytes', unit: 'B' },
  { title: 'Memory', name: 'process_resident_memory_bytes', unit: 'B' },
  { title: 'Behind, watchers', name: 'waymark_watchers_lag_revisions', unit: '' },
] as const;

function Figure(props: {
  readonly title: string;
  readonly value: number | null;
  readonly unit?: string;
}): JSX.Element | null {
  const { title, value, unit = '' } = props;
  if (value === null) return null;
  return (
    <li class="card">
      <span>{title}</span>
      <b>{unit === 'B' ? bytes(value) : shown(value)}</b>
    </li>
  );
}

async function look(signal: AbortSignal): Promise<Look> {
  const response = await send('/metrics', { signal });
  return { at: Date.now() / 1_000, samples: parseMetrics(await response.text()) };
}

async function readiness(
  signal: AbortSignal,
): Promise<{ readonly ready: boolean; readonly why: string }> {
  try {
    const response = await send('/readyz', { signal });
    const { engine } = (await response.json()) as { engine?: string };
    return { ready: true, why: engine ?? '' };
  } catch (error) {
    if (error instanceof Problem && error.status >= 500)
      return { ready: false, why: error.message };
    throw error;
  }
}

/** A point for every two looks, of what came between them. */
function usePoints(now: Look | null): readonly Point[] {
  const [points, setPoints] = useState<readonly Point[]>([]);
  const before = useRef<Look | null>(null);
  useEffect(() => {
    if (now === null) return;
    if (before.current !== null) {
      const point = pointBetween(before.current, now);
      setPoints((all) => [...all, point].slice(-pointsMax));
    }
    before.current = now;
  }, [now]);
  return points;
}

function pointBetween(before: Look, now: Look): Point {
  const seconds = Math.max(now.at - before.at, 0.001);
  const rate = (name: string): number | null => {
    const to = sum(now.samples, name);
    const from = sum(before.samples, name);
    return to === null || from === null ? null : Math.max(0, (to - from) / seconds);
  };
  const ms = (part: number): number | null => {
    const found = quantile({ before: before.samples, now: now.samples }, requests, part);
    return found === null ? null : found * 1_000;
  };
  return {
    at: now.at,
    writes: rate('waymark_revision'),
    requests: rate(`${requests}_count`),
    p50Ms: ms(0.5),
    p99Ms: ms(0.99),
  };
}

function shown(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString()
    : value.toPrecision(2);
}

function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), units.length - 1);
  return `${(value / 1_024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
