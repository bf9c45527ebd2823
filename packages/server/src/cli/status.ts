import type { Command } from 'commander';
import type { ServerStatus } from '../observe/server-status.js';
import { askServer, type Deadline, deadlineOf } from './ask-server.js';
import { outColors } from './colors.js';
import { type GlobalOptions, print } from './context.js';
import type { Run } from './program.js';

export function statusCommand(program: Command, run: Run): void {
  program
    .command('status')
    .description(
      'how the server is, and what it holds; exit 1 when work given to it would not be safe',
    )
    .action(
      run(async (options) => {
        const status = await fetchStatus(options, deadlineOf(options.timeout ?? '10s'));
        const { engine, load: _, ...rest } = status;
        print(options, { ...rest, ...(engine ?? { engine: null }) }, linesOf(status).join('\n'));
        return status.ready.ok ? 0 : 1;
      }),
    );
}

/** @throws {WaymarkError} what the server refuses with, `unavailable` */
export async function fetchStatus(
  options: GlobalOptions,
  deadline: Deadline,
): Promise<ServerStatus> {
  const response = await askServer(options, 'GET', '/v1/status', { deadline });
  return (await response.json()) as ServerStatus;
}

function linesOf(status: ServerStatus): string[] {
  const { engine, connections, watchers, stash, cluster, ready } = status;
  const line = (name: string, ...told: (string | number)[]): string =>
    `${name.padEnd(12)} ${told.join(' ')}`;
  const { green, red } = outColors;
  const lines = [
    line('version', status.version, `up ${duration(status.uptimeMs)}`),
    line('ready', ready.ok ? green('yes') : red('no')),
    ...ready.checks
      .filter(({ ok }) => !ok)
      .map(({ name, reason = '' }) => line(`  ${name}`, red(reason))),
  ];
  if (engine === null) lines.push(line('engine', red('does not answer')));
  else {
    lines.push(line('engine', engine.engine, engine.identity));
    for (const name of ['revision', 'compacted', 'keys', 'leases', 'bytes'] as const)
      lines.push(line(name, engine[name]));
  }
  lines.push(line('data', status.safety));
  if (cluster !== null) lines.push(line('member', cluster.name, cluster.state));
  for (const { name, answers, leads } of cluster?.members ?? [])
    lines.push(line(`  ${name}`, answers ? green('answers') : red('silent'), leads ? 'leads' : ''));
  const { all, binary, etcd, streams } = connections;
  lines.push(line('connections', all, `(${binary} binary, ${etcd} HTTP/2), ${streams} streams`));
  if (watchers !== null) {
    const { endpoints, lagRevisions, waitingBytes } = watchers;
    const behind = `${lagRevisions} revisions behind at most, ${waitingBytes} bytes wait`;
    lines.push(line('watchers', endpoints, `endpoints of this server, ${behind}`));
  }
  if (stash !== null) {
    const { state, writable, records, bytes } = stash;
    const takes = writable ? '' : red(', takes no writes');
    lines.push(line('stash', `${state}${takes}, ${records} records, ${bytes} bytes`));
  }
  return lines.map((text) => text.trimEnd());
}

/** `3 d 4 h`, `12 min`, `8 s`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const [d, h, m] = [seconds / 86_400, (seconds / 3_600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (d !== undefined && d > 0) return `${d} d ${h} h`;
  if (h !== undefined && h > 0) return `${h} h ${m} min`;
  return m !== undefined && m > 0 ? `${m} min` : `${seconds} s`;
}
