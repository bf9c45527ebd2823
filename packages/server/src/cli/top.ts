import type { Command } from 'commander';
import { pause, systemClock } from 'waymark/engine';
import { deadlineOf } from './ask-server.js';
import { outColors } from './colors.js';
import { type GlobalOptions, interruption, secondsMs } from './context.js';
import type { Run } from './program.js';
import { fetchStatus } from './status.js';
import { type Rate, type Rates, ratesOf } from './top-rates.js';

const clearScreen = '\u001b[H\u001b[J';
const otherScreen = { enter: '\u001b[?1049h\u001b[?25l', leave: '\u001b[?25h\u001b[?1049l' };
const namespacesShown = 10;

export function topCommand(program: Command, run: Run): void {
  const command = program
    .command('top')
    .description(
      'what the server does, as it does it: rates, latencies, the busiest namespaces; ends on q',
    )
    .option('--interval <duration>', 'how often it looks, as 1s or 500ms', '1s')
    .option('--count <n>', 'ends after so many looks');
  command.action(
    run(async (options) => {
      const { interval, count } = command.opts<{ interval: string; count?: string }>();
      const everyMs = Math.max(100, secondsMs(interval));
      const looksMax = count === undefined ? Infinity : Number(count);
      const screen = screenFor(options);
      try {
        await look(options, { everyMs, looksMax }, screen);
      } finally {
        screen.close();
      }
    }),
  );
}

async function look(
  options: GlobalOptions,
  { everyMs, looksMax }: { readonly everyMs: number; readonly looksMax: number },
  screen: Screen,
): Promise<void> {
  const { ended } = screen;
  const deadline = deadlineOf(undefined, ended);
  const ask = async () => ({ at: systemClock.now(), told: await fetchStatus(options, deadline) });
  try {
    let before = await ask();
    for (let looks = 0; looks < looksMax; looks++) {
      await pause(systemClock, everyMs, ended, true);
      const now = await ask();
      screen.show(ratesOf(before.told, now.told, (now.at - before.at) / 1_000));
      before = now;
    }
  } catch (error) {
    if (!ended.aborted) throw error;
  }
}

interface Screen {
  /** Aborts when the one who looks wants no more. */
  readonly ended: AbortSignal;
  show(rates: Rates): void;
  close(): void;
}

/** A screen that is written over at a terminal; else lines. */
function screenFor(options: GlobalOptions): Screen {
  const interrupted = interruption();
  const out = process.stdout;
  if (options.json || !out.isTTY) {
    const shown = options.json ? (rates: Rates) => JSON.stringify(rates) : lineOf;
    const show = (rates: Rates): void => void out.write(`${shown(rates)}\n`);
    return { ended: interrupted, show, close: () => undefined };
  }
  const { quit, close } = keys();
  out.write(otherScreen.enter);
  return {
    ended: AbortSignal.any([interrupted, quit]),
    show: (rates) => void out.write(clearScreen + pageOf(options.server, rates).join('\n')),
    close: () => {
      close();
      out.write(otherScreen.leave);
    },
  };
}

/** Aborts on q, and on ^C, which is a key like others while these are read one by one. */
function keys(): { readonly quit: AbortSignal; readonly close: () => void } {
  const quit = new AbortController();
  const { stdin } = process;
  const heard = (bytes: Buffer): void => {
    if (/[qQ\u0003]/.test(bytes.toString())) quit.abort(new Error('interrupted'));
  };
  if (!stdin.isTTY) return { quit: quit.signal, close: () => undefined };
  stdin.setRawMode(true).on('data', heard).resume();
  const close = (): void => {
    stdin.off('data', heard).setRawMode(false).pause();
  };
  return { quit: quit.signal, close };
}

function lineOf(rates: Rates): string {
  const { commits, reads, lockWaits, lockWaiters, watches, connections } = rates;
  const [first] = rates.namespaces;
  return [
    `revision ${rates.revision ?? '?'}`,
    `commits ${told(commits)}`,
    `reads ${told(reads)}`,
    `locks ${told(lockWaits)}, ${lockWaiters} wait`,
    `${watches} watches`,
    `${connections} connections`,
    ...(first === undefined ? [] : [`busiest ${shownName(first.name)}`]),
    ...(rates.ready ? [] : ['NOT READY']),
  ].join('  ');
}

function pageOf(server: string, rates: Rates): string[] {
  const { bold, dim, red } = outColors;
  const row = (name: string, { perSecond, p50Ms, p99Ms }: Rate): string =>
    `${name.padEnd(10)}${cell(perSecond)}${cell(p50Ms)}${cell(p99Ms)}`;
  const { watchers } = rates;
  return [
    `${bold('waymark')} ${server}  revision ${rates.revision ?? '?'}  ${rates.ready ? 'ready' : red('NOT READY: see waymark status')}`,
    '',
    dim(`${''.padEnd(10)}${cell('/s')}${cell('p50 ms')}${cell('p99 ms')}`),
    row('commits', rates.commits),
    row('reads', rates.reads),
    row('locks', rates.lockWaits),
    '',
    `${rates.lockWaiters} wait for locks · ${rates.watches} watches · ${rates.connections} connections`,
    ...(watchers === null
      ? []
      : [`${watchers.endpoints} endpoints, ${watchers.lagRevisions} revisions behind at most`]),
    '',
    dim(`${'namespace'.padEnd(24)}${cell('writes/s')}${cell('reads/s')}${cell('calls/s')}`),
    ...rates.namespaces
      .slice(0, namespacesShown)
      .map(
        ({ name, reads, writes, calls }) =>
          `${shownName(name).slice(0, 23).padEnd(24)}${cell(writes)}${cell(reads)}${cell(calls)}`,
      ),
    '',
    dim('q ends it'),
  ];
}

/** Nothing in a name moves a terminal's cursor. */
function shownName(name: string): string {
  return name === '' ? '(others)' : name.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?');
}

function told({ perSecond, p99Ms }: Rate): string {
  return p99Ms === null ? `${perSecond}/s` : `${perSecond}/s p99 ${p99Ms} ms`;
}

function cell(value: string | number | null): string {
  return String(value ?? '-').padStart(12);
}
