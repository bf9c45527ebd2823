import type { Command } from 'commander';
import { type DueRun, type ScheduleState, WaymarkError, type When } from 'waymark';
import { runUnder } from './command-group.js';
import {
  aborted,
  type GlobalOptions,
  interruption,
  print,
  secondsMs,
  withNamespace,
} from './context.js';
import { everyPage } from './pages.js';
import type { Run } from './program.js';
import { commandOf } from './run-held.js';

/** Commands that run on schedule, each time once among all processes. */
export function scheduleCommands(program: Command, run: Run): void {
  schedule(program, run);
  schedules(program, run);
}

interface ScheduleOptions {
  readonly every?: string;
  readonly cron?: string;
  readonly zone?: string;
  readonly ttl: string;
  readonly owner?: string;
  readonly skipMissed: boolean;
}

function schedule(program: Command, run: Run): void {
  const command = program
    .command('schedule <path> <command...>')
    .description(
      'run a command on schedule, each time once: waymark schedule PATH --every 5s -- COMMAND',
    )
    .option('--every <duration>', 'at every multiple of this since 1970; from 100ms')
    .option('--cron <pattern>', "five fields: 'minute hour day month weekday'")
    .option('--zone <name>', 'with --cron: Europe/Berlin, say', 'UTC')
    .option('--ttl <duration>', 'how soon another takes over from a silent waymark', '10s')
    .option('--owner <name>', 'who to show')
    .option('--skip-missed', 'do not run what became due while nobody ran it', false)
    .addHelpText(
      'after',
      `
Start it on as many machines as you like: one of them runs the command when it is due, until interrupted, and another goes on when
that one is gone. A due time is run once or, when its process dies in the middle, half; never twice. The command is ended before
another could run it, as by waymark lock. It finds WAYMARK_DUE (milliseconds since 1970), WAYMARK_TOKEN (the term) and
WAYMARK_SCHEDULE_PATH in its environment. That it failed is told, and the schedule goes on.

Examples:
  waymark schedule /report --cron '30 2 * * *' --zone Europe/Berlin -- ./report.sh
  waymark schedule /poll --every 5s --ttl 5s -- ./poll.sh`,
    );
  command.action(
    run(async (options) => {
      const [path, given] = command.processedArgs as [string, string[]];
      return await runSchedule(options, path, commandOf(given), command.opts<ScheduleOptions>());
    }),
  );
}

async function runSchedule(
  options: GlobalOptions,
  path: string,
  argv: readonly string[],
  own: ScheduleOptions,
): Promise<number> {
  const when = whenOf(own);
  const ttlMs = secondsMs(own.ttl);
  const interrupted = interruption();
  const job = async (run: DueRun): Promise<void> => {
    const env = {
      WAYMARK_DUE: String(run.at),
      WAYMARK_TOKEN: String(run.term),
      WAYMARK_SCHEDULE_PATH: path,
    };
    const title = `the term of ${path}`;
    const { code, ended } = await runUnder(run, argv, { title, ttlMs, interrupted, env });
    if (ended) throw new WaymarkError('lost', 'its term could not be renewed in time', { path });
    if (code !== 0 && !interrupted.aborted) throw new Error(`exit code ${code}`);
  };
  const onError = (error: unknown, run: DueRun): void => tellFailure(options, path, error, run);
  const missed = own.skipMissed ? 'skip' : 'run';
  return await withNamespace(options, async (ns) => {
    const { owner } = own;
    const running = ns.schedule(path, when, job, { ttlMs, owner, missed, onError });
    await Promise.race([running.closed, aborted(interrupted)]);
    await running.stop();
    return 0;
  });
}

function tellFailure(options: GlobalOptions, path: string, error: unknown, { at }: DueRun): void {
  const why = error instanceof Error ? error.message : String(error);
  const told = options.json
    ? JSON.stringify({ path, at, failed: why })
    : `waymark: ${path}, due at ${new Date(at).toISOString()}: ${why}`;
  process.stderr.write(`${told}\n`);
}

function schedules(program: Command, run: Run): void {
  const command = program
    .command('schedules [path]')
    .description('the schedules at a path and below it: who leads, last and next run');
  command.action(
    run(async (options) => {
      const [path = '/'] = command.processedArgs as [string?];
      await withNamespace(options, async (ns, _space, signal) => {
        const pages = everyPage((call) => ns.schedules(path, { ...call, signal }));
        for await (const one of pages) print(options, one, line(one));
      });
    }),
  );
}

function line({ path, leader, when, last, next }: ScheduleState): string {
  const by = leader === null ? 'nobody leads' : `${leader.owner} leads`;
  return `${path}  ${whenText(when)}  ${by}  last ${timeText(last)}  next ${timeText(next)}`;
}

function whenText(when: When | null): string {
  if (when === null) return '-';
  return 'cron' in when ? `'${when.cron}' ${when.timeZone ?? 'UTC'}` : `every ${when.everyMs} ms`;
}

function timeText(at: number | null): string {
  return at === null ? '-' : new Date(at).toISOString();
}

/** @throws {WaymarkError} `invalid` */
function whenOf({ every, cron, zone }: ScheduleOptions): When {
  if ((every === undefined) === (cron === undefined)) {
    throw new WaymarkError('invalid', 'a schedule takes either --every or --cron');
  }
  return cron === undefined ? { everyMs: secondsMs(every ?? '') } : { cron, timeZone: zone };
}
