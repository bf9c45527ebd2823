import type { Command } from 'commander';
import { WaymarkError } from 'waymark';
import { print, secondsMs, withNamespace } from './context.js';
import type { Run } from './program.js';

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
  readonly status: boolean;
}

function barrier(program: Command, run: Run): void {
  const command = program
    .command('barrier <path>')
    .description('wait until so many have come: each runs this command')
    .requiredOption('--parties <count>', 'how many, 1 to 100', Number)
    .option('--ttl <duration>', 'how long the place outlives a silent waymark', '10s')
    .option('--wait <duration>', 'give up (exit code 15) after so long; default: wait')
    .option('--owner <name>', 'who to show')
    .option('--status', 'only print who waits and how many are missing', false)
    .addHelpText(
      'after',
      `
Examples:
  waymark barrier /start --parties 3 && ./work.sh      all three begin together
  waymark barrier /start --parties 3 --status`,
    );
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { parties, ttl, wait, owner, status } = command.opts<BarrierOptions>();
      const waitMs = wait === undefined ? undefined : secondsMs(wait);
      await withNamespace(options, async (ns, _space, signal) => {
        const of = ns.barrier(path, { parties });
        if (!status) {
          const generation = await of.wait({ ttlMs: secondsMs(ttl), waitMs, owner, signal });
          return print(options, { generation }, String(generation));
        }
        const told = await of.status({ signal });
        const places = told.waiting.map((party) => `  ${party.owner}`);
        const head = `${told.missing} of ${told.parties} missing, passed ${told.generation} times`;
        print(options, told, [head, ...places].join('\n'));
      });
    }),
  );
}
