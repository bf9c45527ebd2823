import type { Command } from 'commander';
import { codecs, type Membership, WaymarkError } from 'waymark';
import { systemClock, systemRandom } from 'waymark/engine';
import { type GlobalOptions, parseJson, print } from './context.js';
import { MessageCommand } from './message-command.js';
import type { Run } from './program.js';
import { commandOf, released, runHeld } from './run-held.js';

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
      return await stay(options, group, commandOf(given), command.opts<JoinOptions>());
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
  const told = meta === undefined ? undefined : parseJson(meta, '--meta');
  const own = { id: id ?? systemRandom.id(), address, meta: told, lead, owner };
  const nameOf = ({ path }: { readonly path: string }): Record<string, string> => ({
    WAYMARK_MEMBER: own.id,
    WAYMARK_GROUP_PATH: path,
  });
  const title = ({ path }: { readonly path: string }): string =>
    `the membership of ${own.id} in ${path}`;
  let end = (): void => {};
  return await runHeld<Membership>(options, {
    argv,
    ttl,
    title,
    // Its signal would leave while the command still ends.
    take: async (ns, { ttlMs }) => {
      const members = ns.as(codecs.bytes).members(group);
      const handler = line === undefined ? undefined : new MessageCommand(line, nameOf(members));
      const membership = await members.join({ ...own, ttlMs, handle: handler?.handle });
      end = () => handler?.end();
      membership.signal.addEventListener('abort', end, { once: true });
      return membership;
    },
    env: (membership) => ({ ...nameOf(membership), WAYMARK_TOKEN: String(membership.token) }),
    show: ({ token: incarnation }) => print(options, { id: own.id, incarnation }, own.id),
    giveBack: async (membership) => {
      // What is being handled is answered first, and killed when it takes too long.
      const disarm = systemClock.after(graceMsMax, end);
      await released(membership, title(membership), line === undefined ? 0 : graceMsMax);
      disarm();
    },
  });
}
