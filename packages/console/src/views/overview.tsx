import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { json } from '../api.js';
import { Chart } from '../chart.js';
import { usePoll } from '../hooks.js';
import { readInUse } from '../in-use.js';
import type { GroupState, ServerStatus } from '../model.js';
import { quantileMs } from '../spread.js';
import { Badge, Page, Table, Trouble } from '../ui.js';
import type { ViewProps } from '../views.js';

const everyMs = 2_000;
/** Five minutes. */
const pointsMax = 150;
const membership = { of: 'groups', collection: 'members' };

interface Point {
  /** Unix time, in s. */
  readonly at: number;
  readonly writes: number;
  readonly reads: number;
  /** Of writes; null when there was none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly watches: number;
}

interface Look {
  readonly at: number;
  readonly status: ServerStatus;
}

/** How the server that is asked does now, and did in the last minutes. */
export function Overview({ ns }: ViewProps): JSX.Element {
  const { data, problem } = usePoll('status', look, everyMs);
  const points = usePoints(data);
  return (
    <Page title="Overview" lead={data === null ? 'This server.' : leadOf(data.status)}>
      <Trouble problem={problem} />
      {data !== null && (
        <>
          <Figures status={data.status} ns={ns} />
          <Charts points={points} />
          <div class="columns">
            <Checks status={data.status} />
            <Busiest status={data.status} />
            <Cluster status={data.status} />
          </div>
        </>
      )}
    </Page>
  );
}

function leadOf({ version, uptimeMs, safety }: ServerStatus): string {
  const minutes = Math.floor(uptimeMs / 60_000);
  const up = minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
  return `Waymark ${version}, up for ${up}. What was acknowledged is kept ${safety}.`;
}

function Figures({ status, ns }: { readonly status: ServerStatus; readonly ns: string }) {
  const { engine, connections, load, watchers, ready } = status;
  const groups = usePoll(
    ns,
    (signal) => readInUse<GroupState>({ ns, path: '/' }, membership, signal),
    5_000,
  );
  const members = groups.data?.all.reduce((count, one) => count + one.members.length, 0);
  const figures: readonly (readonly [string, string | undefined])[] = [
    ['Revision', engine?.revision.toLocaleString()],
    ['Keys', engine?.keys.toLocaleString()],
    ['Leases', engine?.leases.toLocaleString()],
    ['Data', engine === null ? undefined : bytes(engine.bytes)],
    ['Watches', load.watches.toLocaleString()],
    ['Connections', connections.all.toLocaleString()],
    ['Waiting for locks', load.lockWaiters.toLocaleString()],
    ['Watchers behind', watchers?.lagRevisions.toLocaleString()],
    [`Members in ${ns}`, members?.toLocaleString()],
  ];
  return (
    <ul class="cards">
      <li class="card">
        <span>Engine</span>
        <b>
          <Badge kind={ready.ok ? 'good' : 'bad'}>{ready.ok ? 'ready' : 'not ready'}</Badge>
        </b>
        <span>{engine?.engine ?? 'does not answer'}</span>
      </li>
      {figures.map(
        ([title, value]) =>
          value !== undefined && (
            <li class="card" key={title}>
              <span>{title}</span>
              <b>{value}</b>
            </li>
          ),
      )}
    </ul>
  );
}

function Charts({ points }: { readonly points: readonly Point[] }): JSX.Element {
  const times = points.map(({ at }) => at);
  const last = points.at(-1);
  return (
    <div class="columns">
      <Chart
        title="Reads and writes a second"
        times={times}
        series={[
          { label: 'writes', values: points.map(({ writes }) => writes) },
          { label: 'reads', values: points.map(({ reads }) => reads) },
        ]}
        caption={`${shown(last?.writes)} writes and ${shown(last?.reads)} reads now`}
      />
      <Chart
        title="Latency of writes, ms"
        times={times}
        series={[
          { label: 'p50', values: points.map(({ p50Ms }) => p50Ms) },
          { label: 'p99', values: points.map(({ p99Ms }) => p99Ms) },
        ]}
        caption={`p50 ${shown(last?.p50Ms)}, p99 ${shown(last?.p99Ms)} now`}
      />
      <Chart
        title="Watches"
        times={times}
        series={[{ label: 'watches', values: points.map(({ watches }) => watches) }]}
        caption={`${shown(last?.watches)} now`}
      />
    </div>
  );
}

function Checks({ status }: { readonly status: ServerStatus }): JSX.Element {
  return (
    <section aria-labelledby="checks">
      <h2 id="checks">Health</h2>
      <Table
        caption="What readiness looks at"
        heads={['Check', 'State', 'Why']}
        empty="Nothing is checked."
        rows={status.ready.checks.map(({ name, ok, reason }) => (
          <tr key={name}>
            <td>{name}</td>
            <td>
              <Badge kind={ok ? 'good' : 'bad'}>{ok ? 'well' : 'not well'}</Badge>
            </td>
            <td>{reason}</td>
          </tr>
        ))}
      />
    </section>
  );
}

function Busiest({ status }: { readonly status: ServerStatus }): JSX.Element {
  return (
    <section aria-labelledby="busiest">
      <h2 id="busiest">Namespaces asked most</h2>
      <Table
        caption="Calls of this server since it began"
        heads={['Namespace', 'Reads', 'Writes']}
        empty="None was asked yet."
        rows={status.load.namespaces.slice(0, 10).map(({ name, reads, writes }) => (
          <tr key={name}>
            <td>{name}</td>
            <td class="number">{reads.toLocaleString()}</td>
            <td class="number">{writes.toLocaleString()}</td>
          </tr>
        ))}
      />
    </section>
  );
}

function Cluster({ status }: { readonly status: ServerStatus }): JSX.Element | null {
  const { cluster } = status;
  if (cluster === null) return null;
  return (
    <section aria-labelledby="cluster">
      <h2 id="cluster">
        Cluster {cluster.name} <Badge>{cluster.state}</Badge>
      </h2>
      <Table
        caption="Members of the cluster"
        heads={['Member', 'State']}
        empty="None answers."
        rows={cluster.members.map(({ name, leads, answers }) => (
          <tr key={name}>
            <td>{name}</td>
            <td>
              <Badge kind={answers ? 'good' : 'bad'}>{answers ? 'there' : 'away'}</Badge>{' '}
              {leads && <Badge>leader</Badge>}
            </td>
          </tr>
        ))}
      />
    </section>
  );
}

async function look(signal: AbortSignal): Promise<Look> {
  const status = await json<ServerStatus>('/v1/status', { signal });
  return { at: Date.now() / 1_000, status };
}

/** A point for every two looks, of what came between them. */
function usePoints(now: Look | null): readonly Point[] {
  const [points, setPoints] = useState<readonly Point[]>([]);
  const before = useRef<Look | null>(null);
  useEffect(() => {
    if (now === null) return;
    const last = before.current;
    before.current = now;
    // Sums begin anew with the server.
    if (last === null || last.status.uptimeMs > now.status.uptimeMs) return;
    setPoints((all) => [...all, pointBetween(last, now)].slice(-pointsMax));
  }, [now]);
  return points;
}

function pointBetween(before: Look, now: Look): Point {
  const seconds = Math.max(now.at - before.at, 0.001);
  const { load } = now.status;
  const rate = (of: 'commits' | 'reads'): number =>
    (load[of].count - before.status.load[of].count) / seconds;
  const between = { before: before.status.load.commits, now: load.commits };
  return {
    at: now.at,
    writes: rate('commits'),
    reads: rate('reads'),
    p50Ms: quantileMs(between, 0.5),
    p99Ms: quantileMs(between, 0.99),
    watches: load.watches,
  };
}

function shown(value: number | null | undefined): string {
  if (value === null || value === undefined) return 'none';
  return value >= 100 || Number.isInteger(value)
    ? Math.round(value).toLocaleString()
    : value.toPrecision(2);
}

function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), units.length - 1);
  return `${(value / 1_024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
