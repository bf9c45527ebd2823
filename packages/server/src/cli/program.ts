import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { accessCommand } from './access.js';
import { barrierCommands } from './barrier.js';
import { clusterCommands } from './cluster.js';
import { completionCommand } from './completion.js';
import { electionCommands } from './elect.js';
import { fail, type GlobalOptions } from './context.js';
import { dataCommands } from './data.js';
import { lockCommands } from './lock.js';
import { logCommands } from './log.js';
import { memberCommands } from './members.js';
import { messageCommands } from './messages.js';
import { nameCommands } from './names.js';
import { onceCommand } from './once.js';
import { operationCommands } from './operations.js';
import { scheduleCommands } from './schedule.js';
import { semaphoreCommand } from './semaphore.js';
import { serveCommand } from './serve.js';
import { stashCommand } from './stash.js';
import { watcherCommand } from './watcher.js';
import { watchersCommand } from './watchers.js';

/** Adds a command's work: errors become messages and exit codes in one place. */
export type Run = (
  action: (options: GlobalOptions) => Promise<number | void>,
) => () => Promise<void>;

/** @returns the exit code; docs/reference/errors.md has the table */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command('waymark');
  const wrap: Run = (action) => async () => {
    const options = program.opts<GlobalOptions>();
    try {
      exitCode = (await action(options)) ?? 0;
    } catch (error) {
      exitCode = fail(error, options.json);
    }
  };
  describe(program);
  serveCommand(program, wrap);
  dataCommands(program, wrap);
  lockCommands(program, wrap);
  electionCommands(program, wrap);
  memberCommands(program, wrap);
  messageCommands(program, wrap);
  semaphoreCommand(program, wrap);
  logCommands(program, wrap);
  barrierCommands(program, wrap);
  nameCommands(program, wrap);
  onceCommand(program, wrap);
  scheduleCommands(program, wrap);
  stashCommand(program, wrap);
  watcherCommand(program, wrap);
  watchersCommand(program, wrap);
  accessCommand(program, wrap);
  operationCommands(program, wrap);
  clusterCommands(program, wrap);
  completionCommand(program, wrap);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
  return exitCode;
}

function describe(program: Command): void {
  const { version } = createRequire(import.meta.url)('@waymark/server/package.json') as {
    version: string;
  };
  const { WAYMARK_SERVER: server, WAYMARK_NAMESPACE: namespace } = process.env;
  program
    .description('Coordination for people who run services: keys, watches, locks.')
    .version(version)
    .option(
      '-s, --server <url>',
      'http://host:port, unix:/path, or several of one engine: http://a:7420,b:7420 (WAYMARK_SERVER)',
      server ?? 'http://127.0.0.1:7420',
    )
    .option('--namespace <name>', 'the tree to work in (WAYMARK_NAMESPACE)', namespace ?? 'default')
    .option('--access-token <token>', 'says who asks, where access is on (WAYMARK_ACCESS_TOKEN)')
    .option('--access-token-file <file>', 'a file with the token (WAYMARK_ACCESS_TOKEN_FILE)')
    .option('--json', 'print JSON: one document, or one a line for streams', false)
    .option(
      '--timeout <duration>',
      'give up after so long, as 10s or 500ms; watch, lock, elect and sem do not by default',
    )
    .exitOverride()
    .showHelpAfterError('(waymark --help shows the commands)')
    .addHelpText(
      'after',
      `
Examples:
  waymark serve                                  a server on 127.0.0.1:7420, data in ./waymark-data
  waymark put /orders/42 shipped                 write text; - takes standard input
  waymark watch /orders --tree                   every change below, as it happens
  waymark lock /deploy -- ./deploy.sh            run a command while holding a lock
  waymark elect /chief -- ./serve.sh             run a command while leading, in one of many replicas
  waymark send /workers rotate                   a message to the leader of a group; its reply is printed
  waymark sem /builds -n 2 -- make               run it when fewer than two others do

Exit codes: 0 done, 1 the answer is no (get of nothing, a txn whose checks fail), 2 wrong usage, 10 and up an error
by its code, see docs/reference/errors.md. waymark lock, elect, join, sem, barrier,
name claim and once pass their command's exit code on.`,
    );
}
