import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';
import type { Lock } from 'waymark';
import { fail, print, secondsMs, withNamespace } from './context.js';
import type { Run } from './program.js';

/** Time a command has between TERM and KILL, and what of the lock's life is kept back for KILL to take effect. */
const graceMsMax = 5_000;
const killMarginMs = 250;

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
    .option('--wait <duration>', 'give up (exit code 15) when it is not free by then; default: wait')
    .option('--owner <name>', 'who to show as holder')
    .addHelpText(
      'after',
      `
The command finds WAYMARK_TOKEN and WAYMARK_LOCK_PATH in its environment. When the lock is lost, the command's whole
process group gets TERM, then KILL, before the lock can pass on; the exit code is then 14. Else it is the command's.`,
    );
  command.action(
    run(async (options) => {
      const [path, given] = command.processedArgs as [string, string[]];
      const argv = given[0] === '--' ? given.slice(1) : given;
      const { tree, shared, ttl, wait, owner } = command.opts<LockOptions>();
      const interrupted = new AbortController();
      const stop = (): void => interrupted.abort(new Error('interrupted'));
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
      return await withNamespace(options, async (ns) => {
        const lock = await ns
          .lock(path, {
            tree,
            mode: shared ? 'shared' : 'exclusive',
            ttlMs: secondsMs(ttl),
            waitMs: wait === undefined ? undefined : secondsMs(wait),
            owner,
            signal: interrupted.signal,
          })
          .catch((error: unknown) => {
            if (interrupted.signal.aborted) return null;
            throw error;
          });
        if (lock === null) return 130;
        return await runUnder(lock, argv, interrupted.signal, options.json);
      });
    }),
  );
  explain(program, run);
  unlock(program, run);
}

/** The lock goes only after the command's whole process group is gone. */
async function runUnder(lock: Lock, argv: readonly string[], interrupted: AbortSignal, json: boolean): Promise<number> {
  const [file, ...args] = argv as [string, ...string[]];
  const env = { ...process.env, WAYMARK_TOKEN: String(lock.token), WAYMARK_LOCK_PATH: lock.path };
  const child = spawn(file, args, { stdio: 'inherit', detached: true, env });
  const ended = exitOf(child);
  const end = (): void => void endGroup(child, lock);
  lock.signal.addEventListener('abort', end, { once: true });
  interrupted.addEventListener('abort', end, { once: true });
  // A timer may come late after a pause: the lock's own clock is looked at as well.
  const look = setInterval(() => lock.isHeld(), 50);
  try {
    const code = await ended;
    signalGroup(child, 'SIGKILL');
    return lock.reason === undefined ? code : fail(lock.reason, json);
  } finally {
    clearInterval(look);
    await lock.release();
  }
}

/** TERM at once, KILL before the lock could pass on: its signal comes ahead of that by the margin of its lease. */
async function endGroup(child: ChildProcess, lock: Lock): Promise<void> {
  signalGroup(child, 'SIGTERM');
  const leftMs = lock.isHeld() ? lock.remainingMs() - killMarginMs : 0;
  const graceMs = Math.max(0, Math.min(graceMsMax, leftMs));
  await new Promise((resolve) => setTimeout(resolve, graceMs));
  signalGroup(child, 'SIGKILL');
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone.
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      process.stderr.write(`waymark: ${error.message}\n`);
      resolve(127);
    });
    child.once('exit', (code, signal) => {
      resolve(signal === null ? (code ?? 0) : 128 + (constants.signals[signal] ?? 0));
    });
  });
}

function explain(program: Command, run: Run): void {
  const command = program
    .command('explain <path>')
    .description('who holds a lock on a path, who waits, since when')
    .option('--tree', 'as a lock on the whole tree would see it', false);
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { tree } = command.opts<{ tree: boolean }>();
      const told = await withNamespace(options, (ns, _space, signal) => ns.explain(path, { tree, signal }));
      const waiters = told.waiters.map((waiter, i) => `  ${i + 1}. ${waiter.owner} on ${waiter.path}`);
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
      const result = await withNamespace(options, (ns, _space, signal) => ns.forceUnlock(path, { reason, signal }));
      print(options, result, `${result.ended} ended`);
      return result.ended === 0 ? 1 : 0;
    }),
  );
}
