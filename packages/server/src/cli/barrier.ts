import type { Command } from 'commander';
import { type Inside, WaymarkError } from 'waymark';
import { type GlobalOptions, print, secondsMs, withNamespace } from './context.js';
import type { Run } from './program.js';
import { runHeld, unlessInterrupted } from './run-held.js';

/** Counters, latches and barriers. */
export function barrierCommands(program: Command, run: Run): void {
  counter(program, run);
  latch(program, run);
  barrier(program, run);
}

function counter(program: Command, run: Run): void {
  const command = program
    .command('counter <path>')
    .description('print a counter, or change it and print what it is then')
    .option('--add <number>', 'add to it; below 0 takes away', Number)
    .option('--set <number>', 'set it', Number)
    .option('--if-value <number>', 'with --set: only if it is at this', Number)
    .addHelpText(
      'after',
      `
Examples:
  waymark counter /hits
  waymark counter /hits --add 1
  waymark counter /hits --set 0 --if-value 42`,
    );
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { add, set, ifValue } = command.opts<CounterOptions>();
      if ((add !== undefined && set !== undefined) || (ifValue !== undefined && set === undefined))
        throw new WaymarkError('invalid', 'take --add, or --set, which --if-value goes with');
      const value = await withNamespace(options, async (ns, _space, signal) => {
        const of = ns.counter(path);
        if (add !== undefined) return await of.add(add, { signal });
        if (set === undefined) return await of.get({ signal });
        await of.set(set, { ifValue, signal });
        return set;
      });
      print(options, { value }, String(value));
    }),
  );
}

interface CounterOptions {
  readonly add?: number;
  readonly set?: number;
  readonly ifValue?: number;
}

function latch(program: Command, run: Run): void {
  const command = program
    .command('latch <path>')
    .description('wait until a latch is open')
    .option('--open', 'open it, for everyone and for ever', false)
    .option('--wait <duration>', 'give up (exit code 15) after so long; default: wait')
    .addHelpText(
      'after',
      `
Examples:
  waymark latch /migrated && ./start.sh
  waymark latch /migrated --open`,
    );
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { open, wait } = command.opts<{ open: boolean; wait?: string }>();
      const waitMs = wait === undefined ? undefined : secondsMs(wait);
      await withNamespace(options, async (ns, _space, signal) => {
        if (open) {
          const opened = await ns.latch(path).open({ signal });
          return print(options, { opened }, opened ? 'opened' : 'open already');
        }
        await ns.latch(path).wait({ waitMs, signal });
        print(options, { open: true }, '');
      });
    }),
  );
}

interface BarrierOptions {
  readonly parties: number;
  readonly ttl: string;
  readonly wait?: string;
  readonly owner?: string;
  readonly double: boolean;
  readonly status: boolean;
}

function barrier(program: Command, run: Run): void {
  const command = program
    .command('barrier <path> [command...]')
    .description('wait until so many have come; with a command, run it together and end together')
    .requiredOption('--parties <count>', 'how many, 1 to 100', Number)
    .option('--ttl <duration>', 'how long the place outlives a silent waymark', '10s')
    .option('--wait <duration>', 'give up (exit code 15) after so long; default: wait')
    .option('--owner <name>', 'who to show')
    .option('--double', 'with --status: of those who run a command', false)
    .option('--status', 'only print who waits and how many are missing', false)
    .addHelpText(
      'after',
      `
With a command it is a double barrier: all come in before any command begins, and no waymark ends before all commands have. Whose lease
ends has left. The command finds WAYMARK_TOKEN, WAYMARK_BARRIER_PATH and WAYMARK_GENERATION in its environment. When the place inside cannot be renewed
it is ended as by waymark lock; the exit code is then 14.

Examples:
  waymark barrier /start --parties 3 && ./work.sh      all three begin together
  waymark barrier /round --parties 3 -- ./work.sh      and end together
  waymark barrier /start --parties 3 --status`,
    );
  command.action(
    run(async (options) => {
      const [path, argv] = command.processedArgs as [string, string[]];
      const own = command.opts<BarrierOptions>();
      if (own.status) return await tellStatus(options, path, own);
      if (argv.length > 0) return await runInside(options, path, argv, own);
      const { parties, ttl, wait, owner } = own;
      const waitMs = wait === undefined ? undefined : secondsMs(wait);
      await withNamespace(options, async (ns, _space, signal) => {
        const call = { ttlMs: secondsMs(ttl), waitMs, owner, signal };
        const generation = await ns.barrier(path, { parties }).wait(call);
        print(options, { generation }, String(generation));
      });
      return 0;
    }),
  );
}

/** @returns the command's exit code, when all have left */
async function runInside(
  options: GlobalOptions,
  path: string,
  argv: readonly string[],
  { parties, ttl, wait, owner }: BarrierOptions,
): Promise<number> {
  return await runHeld<Inside>(options, {
    argv,
    ttl,
    wait,
    title: () => `the place inside ${path}`,
    take: (ns, call) => ns.doubleBarrier(path, { parties }).enter({ ...call, owner }),
    env: (inside) => ({
      WAYMARK_TOKEN: String(inside.token),
      WAYMARK_BARRIER_PATH: inside.path,
      WAYMARK_GENERATION: String(inside.generation),
    }),
    // Interrupted, it has left, and waits for nobody.
    giveBack: (inside, signal) => unlessInterrupted(signal, inside.leave({ signal })),
  });
}

async function tellStatus(
  options: GlobalOptions,
  path: string,
  { parties, double }: BarrierOptions,
): Promise<number> {
  const told = await withNamespace(options, (ns, _space, signal) =>
    (double ? ns.doubleBarrier(path, { parties }) : ns.barrier(path, { parties })).status({
      signal,
    }),
  );
  const inside = told.inside.map((party) => `  ${party.owner} is inside`);
  const places = told.waiting.map((party) => `  ${party.owner}`);
  const head = `${told.missing} of ${told.parties} missing, passed ${told.generation} times`;
  print(options, told, [head, ...inside, ...places].join('\n'));
  return 0;
}
