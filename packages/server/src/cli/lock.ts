import { type Command, Option } from 'commander';
import { print, withNamespace } from './context.js';
import type { Run } from './program.js';
import { runHeld } from './run-held.js';

interface LockOptions {
  readonly tree: boolean;
  readonly shared: boolean;
  readonly ttl: string;
  readonly wait?: string;
  readonly owner?: string;
}

export function lockCommands(program: Command, run: Run): void {
  const command = program
    .command('lock <path> <command...>')
    .description('run a command while holding a lock: waymark lock PATH -- COMMAND')
    .option('--tree', 'the path and everything below it', false)
    .option('--shared', 'a shared lock', false)
    .option('--ttl <duration>', 'how long the lock outlives a silent waymark', '10s')
    .option(
      '--wait <duration>',
      'give up (exit code 15) when it is not free by then; default: wait',
    )
    .option('--owner <name>', 'who to show as holder')
    .addHelpText(
      'after',
      `
The command finds WAYMARK_TOKEN and WAYMARK_LOCK_PATH in its environment: pass the token to what you protect.

When the lock cannot be renewed, the command's whole process group gets TERM while a quarter of the TTL is left, and KILL
before the lock can pass on; the exit code is then 14. Interrupted, waymark sends TERM, and KILL 10 s later; interrupted again,
it ends at once, and the lock with its TTL. What the command leaves running in its group is killed before the lock is released;
while that cannot be killed the lock is kept, and waymark says so. Else the exit code is the command's own.

Examples:
  waymark lock /deploy -- ./deploy.sh
  waymark lock /cron/report --wait 0s -- ./report.sh     only one of many replicas runs it; the others exit with 15
  waymark lock /orders --tree --ttl 30s -- sh -c 'echo "token $WAYMARK_TOKEN"'`,
    );
  command.action(
    run(async (options) => {
      const [path, argv] = command.processedArgs as [string, string[]];
      const { tree, shared, ttl, wait, owner } = command.opts<LockOptions>();
      const mode = shared ? 'shared' : 'exclusive';
      return await runHeld(options, {
        argv,
        ttl,
        wait,
        title: () => `the lock on ${path}`,
        take: (ns, call) => ns.lock(path, { ...call, tree, mode, owner }),
        env: (lock) => ({ WAYMARK_TOKEN: String(lock.token), WAYMARK_LOCK_PATH: lock.path }),
      });
    }),
  );
  explain(program, run);
  unlock(program, run);
}

const recipes = ['lock', 'election', 'semaphore', 'once'] as const;
type Recipe = (typeof recipes)[number];

function explain(program: Command, run: Run): void {
  const command = program
    .command('explain <path>')
    .description('who holds a lock on a path, who waits, since when, and who wait for each other')
    .addOption(new Option('--of <recipe>', 'what to look at').choices(recipes).default('lock'))
    .option('--tree', 'as a lock on the whole tree would see it', false);
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { tree, of } = command.opts<{ tree: boolean; of: Recipe }>();
      const told = await withNamespace(options, async (ns, _space, signal) => {
        if (of === 'election') return await ns.election(path).explain({ signal });
        if (of === 'semaphore') return await ns.semaphore(path).explain({ signal });
        if (of === 'once') return await ns.explainOnce(path, { signal });
        return await ns.explain(path, { tree, signal });
      });
      const waiters = told.waiters.map((waiter, i) => {
        const on = 'path' in waiter ? ` on ${waiter.path}` : '';
        return `  ${i + 1}. ${waiter.owner}${on}`;
      });
      print(options, told, [told.summary, ...waiters].join('\n'));
    }),
  );
}

function unlock(program: Command, run: Run): void {
  const command = program
    .command('unlock <path>')
    .description('take the locks on exactly this path away from their holders; audited')
    .requiredOption('--force', 'say that you mean it')
    .requiredOption('--reason <text>', 'told to the holder, and kept');
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { reason } = command.opts<{ reason: string }>();
      const result = await withNamespace(options, (ns, _space, signal) =>
        ns.forceUnlock(path, { reason, signal }),
      );
      print(options, result, `${result.ended} ended`);
      return result.ended === 0 ? 1 : 0;
    }),
  );
}
