import type { Command } from 'commander';
import { codecs, type Membership, WaymarkError } from 'waymark';
import { systemClock, systemRandom } from 'waymark/engine';
import { type CommandEnd, runUnder } from './command-group.js';
import {
  aborted,
  fail,
  type GlobalOptions,
  interruption,
  parseJson,
  print,
  secondsMs,
  withNamespace,
} from './context.js';
import { MessageCommand } from './message-command.js';
import type { Run } from './program.js';

interface JoinOptions {
  readonly id?: string;
  readonly address?: string;
  readonly meta?: string;
  readonly lead: boolean;
  readonly handle?: string;
  readonly ttl: string;
  readonly owner?: string;
}

/** What is handled when it is interrupted may take so long. */
const graceMsMax = 10_000;

export function join(program: Command, run: Run): void {
  const command = program
    .command('join <group> [command...]')
    .description('run a command as a member of a group: waymark join GROUP -- COMMAND')
    .option('--id <id>', 'unique in the group; default: one that nobody else has')
    .option('--address <address>', 'where others reach it')
    .option('--meta <json>', 'what it tells of itself')
    .option('--lead', 'stand for the leader of the group', false)
    .option('--handle <command>', 'run this in a shell for each message that comes')
    .option('--ttl <duration>', 'how long it counts as a member while waymark is silent', '10s')
    .option('--owner <name>', 'who to show')
    .addHelpText(
      'after',
      `
It leaves when the command ends. When the membership cannot be renewed the command is ended, as by waymark lock; the exit
code is then 14. Else it is the command's own. The command finds its incarnation in WAYMARK_TOKEN.

With --handle it takes messages: each is standard input of a command, what that prints is the reply, and an exit code other than 0
refuses it in the words of its standard error. It finds WAYMARK_FROM, WAYMARK_GUEST (true when no member sent it), WAYMARK_MESSAGE_KIND
(send or broadcast) and, of what was sent to the leader, WAYMARK_TERM. At most 16 run at once. Then the command that runs as
a member may be left out: waymark prints the id, and stays until interrupted.

Examples:
  waymark join /workers --id "$HOSTNAME" --address 10.0.0.1:8080 --meta '{"zone":"a"}' -- ./worker
  waymark join /workers --id w1 --lead --handle ./work.sh`,
    );
  command.action(
    run(async (options) => {
      const [group, given = []] = command.processedArgs as [string, string[]?];
      const argv = given[0] === '--' ? given.slice(1) : given;
      return await stay(options, group, argv, command.opts<JoinOptions>());
    }),
  );
}

async function stay(
  options: GlobalOptions,
  group: string,
  argv: readonly string[],
  { id, address, meta, lead, handle: line, ttl, owner }: JoinOptions,
): Promise<number> {
  if (argv.length === 0 && line === undefined) {
    throw new WaymarkError('invalid', 'a member runs a command, or handles messages: --handle');
  }
  const ttlMs = secondsMs(ttl);
  const told = meta === undefined ? undefined : parseJson(meta, '--meta');
  const interrupted = interruption();
  const own = { id: id ?? systemRandom.id(), address, meta: told, lead, ttlMs, owner };
  return await withNamespace(options, async (ns) => {
    const members = ns.as(codecs.bytes).members(group);
    const env = { WAYMARK_MEMBER: own.id, WAYMARK_GROUP_PATH: members.path };
    const handler = line === undefined ? undefined : new MessageCommand(line, env);
    const membership = await members.join({ ...own, handle: handler?.handle });
    const end = (): void => handler?.end();
    membership.signal.addEventListener('abort', end, { once: true });
    const run =
      argv.length === 0
        ? await idle(membership, interrupted, options)
        : await runUnder(membership, argv, {
            ttlMs,
            interrupted,
            env: { ...env, WAYMARK_TOKEN: String(membership.token) },
          });
    if (!run.ended && membership.reason === undefined) {
      await leave(membership, end);
      return run.code;
    }
    const message = `${membership.id} could not be kept in ${membership.path}, so its command was ended`;
    return fail(membership.reason ?? new WaymarkError('lost', message), options.json);
  });
}

/** A member that only handles messages stays until interrupted, or lost. */
async function idle(
  membership: Membership,
  interrupted: AbortSignal,
  options: GlobalOptions,
): Promise<CommandEnd> {
  const { id, token: incarnation } = membership;
  print(options, { id, incarnation }, id);
  await aborted(AbortSignal.any([interrupted, membership.signal]));
  return { code: 0, ended: false };
}

/** What is being handled is answered first, and killed when it takes too long. */
async function leave(membership: Membership, end: () => void): Promise<void> {
  const disarm = systemClock.after(graceMsMax, end);
  await membership.release();
  disarm();
}
