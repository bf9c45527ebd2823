import type { Command } from 'commander';
import { type OnceState, WaymarkError } from 'waymark';
import { runUnder } from './command-group.js';
import { type GlobalOptions, interruption, print, secondsMs, withNamespace } from './context.js';
import type { CommandEnd } from './group-end.js';
import { everyPage } from './pages.js';
import type { Run } from './program.js';
import { commandOf, notRenewed } from './run-held.js';

interface OnceOptions {
  readonly ttl: string;
  /** False with --no-wait. */
  readonly wait: boolean | string;
  readonly owner?: string;
  readonly recordFailure: boolean;
  readonly doneCode: string;
}

/** A command that runs once among all processes. */
export function onceCommand(program: Command, run: Run): void {
  const command = program
    .command('once')
    .description('run a command once among all processes: waymark once PATH -- COMMAND')
    .argument('<path>')
    .argument('[command...]')
    .option('--ttl <duration>', 'how long the claim outlives a silent waymark', '10s')
    .option('--wait <duration>', 'give up (exit code 15) when another still runs it by then', true)
    .option('--no-wait', 'give up at once when another runs it')
    .option('--owner <name>', 'who to show')
    .option(
      '--record-failure',
      'a command that fails is run by nobody again: 31 for the others',
      false,
    )
    .option('--done-code <code>', 'the exit code when it had been done before', '0');
  command.addHelpText(
    'after',
    `
The command runs unless it was done before. Who comes while it runs waits for its end. It is done when it exits with 0. Else its exit
code is passed on and the next in line runs it. It is ended before its claim can pass on, as by waymark lock; the exit code is then 14.
It finds WAYMARK_TOKEN and WAYMARK_ONCE_PATH in its environment.

Examples:
  waymark once /migrations/7 -- ./migrate.sh && ./serve.sh    every replica waits until one has migrated
  waymark once show /migrations/7
  waymark once forget /migrations/7                           and it may run again`,
  );
  command.action(
    run(async (options) => {
      const [path, given] = command.processedArgs as [string, string[]];
      return await runOnce(options, path, commandOf(given), command.opts<OnceOptions>());
    }),
  );
  lookCommands(command, run);
}

/** @returns 0 when it ran, else its exit code; 130 when it still waited and was interrupted */
async function runOnce(
  options: GlobalOptions,
  path: string,
  argv: readonly string[],
  own: OnceOptions,
): Promise<number> {
  if (argv.length === 0) throw new WaymarkError('invalid', 'waymark once PATH -- COMMAND');
  const doneCode = exitCode(own.doneCode);
  const ttlMs = secondsMs(own.ttl);
  const interrupted = interruption();
  const notInTime = new AbortController();
  const call = {
    ttlMs,
    waitMs: own.wait === true ? undefined : own.wait === false ? 0 : secondsMs(own.wait),
    owner: own.owner,
    whenFailed: own.recordFailure ? 'record' : 'release',
    signal: AbortSignal.any([interrupted, notInTime.signal]),
  } as const;
  const title = `the claim on ${path}`;
  const ran: CommandEnd[] = [];
  const code = await withNamespace(options, async (ns) => {
    try {
      await ns.once(
        path,
        async (run) => {
          const env = { WAYMARK_TOKEN: String(run.token), WAYMARK_ONCE_PATH: path };
          const end = await runUnder(run, argv, { title, ttlMs, interrupted, env });
          if (!end.ended) ran.push(end);
          // What was ended did not fail: it is not recorded so.
          else notInTime.abort();
          if (end.ended) throw notRenewed(title, path);
          if (end.code !== 0) throw new Error(`exit code ${end.code}`);
        },
        call,
      );
      return ran[0]?.code ?? doneCode;
    } catch (error) {
      const [end] = ran;
      if (end !== undefined && end.code !== 0) return end.code;
      if (end === undefined && interrupted.aborted) return 130;
      throw error;
    }
  });
  print(options, { path, ran: ran.length > 0, code }, '');
  return code;
}

function lookCommands(once: Command, run: Run): void {
  const show = once
    .command('show <path>')
    .description('what became of it, who runs it, who waits; exit code 1 unless it was done');
  show.action(
    run(async (options) => {
      const path = show.processedArgs[0] as string;
      const told = await withNamespace(options, (ns, _space, signal) =>
        ns.explainOnce(path, { signal }),
      );
      const waiters = told.waiters.map(({ owner }, i) => `  ${i + 1}. ${owner}`);
      const value = told.value === undefined ? [] : [`  ${JSON.stringify(told.value)}`];
      print(options, told, [told.summary, ...value, ...waiters].join('\n'));
      return told.state === 'done' ? 0 : 1;
    }),
  );
  const ls = once
    .command('ls [path]')
    .description('what runs now or was recorded, at a path and below it');
  ls.action(
    run(async (options) => {
      const [path = '/'] = ls.processedArgs as [string?];
      await withNamespace(options, async (ns, _space, signal) => {
        const pages = everyPage((call) => ns.onceStates(path, { ...call, signal }));
        for await (const one of pages) print(options, one, line(one));
      });
    }),
  );
  const forget = once
    .command('forget <path>')
    .description(
      'forget what it came to: the next who comes runs it; exit code 1 when nothing was',
    );
  forget.action(
    run(async (options) => {
      const path = forget.processedArgs[0] as string;
      const forgotten = await withNamespace(options, (ns, _space, signal) =>
        ns.forgetOnce(path, { signal }),
      );
      print(options, { forgotten }, forgotten ? 'forgotten' : 'nothing was recorded');
      return forgotten ? 0 : 1;
    }),
  );
}

function line({ path, state, owner, since, failed }: OnceState): string {
  const why = failed === undefined ? '' : `  ${failed}`;
  return `${state.padEnd(7)}  ${path}  ${owner}, revision ${since}${why}`;
}

function exitCode(text: string): number {
  const code = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (code <= 255) return code;
  throw new WaymarkError('invalid', `--done-code takes 0 to 255, not '${text.slice(0, 40)}'`);
}
