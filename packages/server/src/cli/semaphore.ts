import type { Command } from 'commander';
import { type PermitParty, type Semaphore, WaymarkError } from 'waymark';
import { type GlobalOptions, print, withNamespace } from './context.js';
import type { Run } from './program.js';
import { runHeld } from './run-held.js';

interface SemaphoreCommandOptions {
  readonly ttl: string;
  readonly wait?: string;
  readonly owner?: string;
  readonly limit?: string;
  readonly weight: string;
  readonly resize?: string;
  readonly remove: boolean;
}

export function semaphoreCommand(program: Command, run: Run): void {
  const command = program
    .command('sem <path> [command...]')
    .description('run a command when it fits among others: waymark sem PATH -n 2 -- COMMAND')
    .option('-n, --limit <n>', 'how much may run at once; the first one stores it, default: stored')
    .option('-w, --weight <n>', 'how much of the limit this command takes', '1')
    .option('--ttl <duration>', 'how long the permit outlives a silent waymark', '10s')
    .option(
      '--wait <duration>',
      'give up (exit code 15) when it does not fit by then; default: wait',
    )
    .option('--owner <name>', 'who to show as holder')
    .option('--resize <n>', 'change the stored limit')
    .option('--remove', 'forget the limit, when nobody holds or waits', false)
    .addHelpText(
      'after',
      `
Without a command it shows who holds and who waits, and whether a request of that weight would.

The command finds WAYMARK_TOKEN, WAYMARK_SEMAPHORE_PATH and WAYMARK_WEIGHT in its environment. It is ended before its permit can
pass on, and its exit code passed through, as waymark lock does: see waymark lock --help.

Examples:
  waymark sem /builds -n 4 -- make                at most four at once, first come, first served
  waymark sem /builds -n 4 --weight 3 -- make -j3 a large one: nobody passes it while it waits
  waymark sem /builds                             who holds, who waits
  waymark sem /builds --resize 8                  nobody loses a permit when it is made less`,
    );
  command.action(
    run(async (options) => {
      const [path, given] = command.processedArgs as [string, string[]];
      const own = command.opts<SemaphoreCommandOptions>();
      const weight = wholeNumber('--weight', own.weight);
      const limit = own.limit === undefined ? undefined : wholeNumber('--limit', own.limit);
      if (given.length === 0) return await tend(options, path, own, weight);
      if (own.resize !== undefined || own.remove) {
        throw new WaymarkError('invalid', '--resize and --remove stand alone, without a command');
      }
      const { ttl, wait, owner } = own;
      return await runHeld(options, {
        argv: given,
        ttl,
        wait,
        title: () => `the permit of ${path}`,
        take: (ns, call) => ns.semaphore(path, { limit }).acquire({ ...call, weight, owner }),
        env: (permit) => ({
          WAYMARK_TOKEN: String(permit.token),
          WAYMARK_SEMAPHORE_PATH: permit.path,
          WAYMARK_WEIGHT: String(weight),
        }),
      });
    }),
  );
}

/** Resizes, removes or shows it. @returns 1 when there was nothing to remove */
async function tend(
  options: GlobalOptions,
  path: string,
  { resize, remove }: SemaphoreCommandOptions,
  weight: number,
): Promise<number> {
  const limit = resize === undefined ? undefined : wholeNumber('--resize', resize);
  return await withNamespace(options, async (ns, _space, signal) => {
    const semaphore = ns.semaphore(path);
    if (remove) {
      const removed = await semaphore.remove({ signal });
      print(options, { removed }, removed ? 'removed' : 'there was none');
      return removed ? 0 : 1;
    }
    if (limit !== undefined) await semaphore.resize(limit, { signal });
    await show(options, semaphore, weight, signal);
    return 0;
  });
}

async function show(
  options: GlobalOptions,
  semaphore: Semaphore,
  weight: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const told = await semaphore.explain({ weight, signal });
  const line = (party: PermitParty): string =>
    `${party.owner}, weight ${party.weight}, since revision ${party.since}`;
  const holders = told.holders.map((party) => `  holds: ${line(party)}`);
  const waiters = told.waiters.map((party, i) => `  ${i + 1}. ${line(party)}`);
  print(options, told, [told.summary, ...holders, ...waiters].join('\n'));
}

function wholeNumber(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new WaymarkError('invalid', `${option} takes a whole number, not '${text}'`);
}
