import type { Command } from 'commander';
import type { Leader } from 'waymark';
import { print, withNamespace } from './context.js';
import type { Run } from './program.js';
import { runHeld } from './run-held.js';

interface ElectOptions {
  readonly value?: string;
  readonly ttl: string;
  readonly wait?: string;
  readonly owner?: string;
}

export function electionCommands(program: Command, run: Run): void {
  const command = program
    .command('elect <path> <command...>')
    .description('run a command while leading an election: waymark elect PATH -- COMMAND')
    .option('--value <text>', 'what to proclaim: where the leader is to be found, say')
    .option('--ttl <duration>', 'how long the term outlives a silent waymark', '10s')
    .option('--wait <duration>', 'give up (exit code 15) when not elected by then; default: wait')
    .option('--owner <name>', 'who to show as leader')
    .addHelpText(
      'after',
      `
The command finds WAYMARK_TERM and WAYMARK_ELECTION_PATH in its environment: the term grows with every leader, so pass it to what
you protect.

When the term cannot be renewed, the command's whole process group gets TERM while a quarter of the TTL is left, and KILL before
another can be elected; the exit code is then 14. Interrupted, waymark sends TERM, and KILL 10 s later. What the command leaves
running in its group is killed before waymark resigns. Else the exit code is the command's own. A term lost is not campaigned for
again: start waymark elect anew.

Examples:
  waymark elect /scheduler -- ./schedule.sh              one of many replicas runs it, the others wait to follow
  waymark elect /primary --value 10.0.0.7:5432 --ttl 5s -- ./primary.sh
  waymark elect /report --wait 0s -- ./report.sh         the others exit with 15`,
    );
  command.action(
    run(async (options) => {
      const [path, argv] = command.processedArgs as [string, string[]];
      const { value, ttl, wait, owner } = command.opts<ElectOptions>();
      return await runHeld(options, {
        argv,
        ttl,
        wait,
        title: () => `the term of ${path}`,
        take: (ns, call) => ns.election(path).campaign({ ...call, owner, value }),
        env: (term) => ({ WAYMARK_TERM: String(term.token), WAYMARK_ELECTION_PATH: term.path }),
      });
    }),
  );
  leader(program, run);
}

function leader(program: Command, run: Run): void {
  const command = program
    .command('leader <path>')
    .description('who leads an election, and what it proclaims; exit code 1 when nobody does')
    .option('--watch', 'and every change, until interrupted', false);
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const show = (led: Leader<string> | null): void => print(options, led, describe(led));
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      return await withNamespace(options, async (ns, _space, timeout) => {
        const signal = AbortSignal.any([stop.signal, ...(timeout === undefined ? [] : [timeout])]);
        const election = ns.election(path);
        if (!command.opts<{ watch: boolean }>().watch) {
          const led = await election.leader({ signal });
          show(led);
          return led === null ? 1 : 0;
        }
        try {
          for await (const led of election.observe({ signal })) show(led);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
        return 0;
      });
    }),
  );
}

function describe(led: Leader<string> | null): string {
  if (led === null) return 'nobody leads';
  const says = led.value === null ? '' : `  ${JSON.stringify(led.value)}`;
  return `${led.owner} leads, term ${led.term}${says}`;
}
