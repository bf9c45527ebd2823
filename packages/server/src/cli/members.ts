import type { Command } from 'commander';
import { type Member, type Membership, type MembersChange, WaymarkError } from 'waymark';
import { type GlobalOptions, print, withNamespace } from './context.js';
import type { Run } from './program.js';
import { runHeld } from './run-held.js';

/** Commands on groups and their members. */
export function memberCommands(program: Command, run: Run): void {
  members(program, run);
  join(program, run);
}

function members(program: Command, run: Run): void {
  const command = program
    .command('members <group>')
    .description('who is in a group, where, and who leads it')
    .option('--watch', 'then every change, until interrupted: joined, left, failed, updated', false)
    .option('--leader', 'the id of the leader alone; exit code 1 when nobody leads', false)
    .addHelpText(
      'after',
      `
Examples:
  waymark members /workers
  waymark members /workers --watch --json        one view a line, with what changed`,
    );
  command.action(
    run(async (options) => {
      const group = command.processedArgs[0] as string;
      const { watch, leader } = command.opts<{ watch: boolean; leader: boolean }>();
      if (watch && leader) throw new WaymarkError('invalid', 'take --watch or --leader, not both');
      if (watch) return await follow(options, group);
      const view = await withNamespace(options, (ns, _space, signal) =>
        ns.members(group).list({ signal }),
      );
      if (leader) {
        print(options, view.leader, view.leader?.id ?? '');
        return view.leader === null ? 1 : 0;
      }
      print(options, view, view.members.map((member) => line(member, view.leader?.id)).join('\n'));
      return 0;
    }),
  );
}

async function follow(options: GlobalOptions, group: string): Promise<number> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  await withNamespace(options, async (ns, _space, timeout) => {
    const signal = timeout === undefined ? stop.signal : AbortSignal.any([stop.signal, timeout]);
    try {
      let leader: string | undefined;
      for await (const change of ns.members(group).watch({ signal })) {
        print(options, change, describe(change, leader));
        leader = change.leader?.id;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  });
  return 0;
}

function describe(change: MembersChange, ledBefore: string | undefined): string {
  const epoch = String(change.epoch).padStart(8);
  const told = (kind: string, some: readonly Member[]): string[] =>
    some.map((member) => `${epoch}  ${kind.padEnd(7)} ${line(member, undefined)}`);
  const leader = change.leader?.id;
  return [
    ...told('joined', change.joined),
    ...told('left', change.left),
    ...told('failed', change.failed),
    ...told('missed', change.missed),
    ...told('updated', change.updated),
    ...(leader === ledBefore ? [] : [`${epoch}  leader  ${leader ?? 'nobody'}`]),
  ].join('\n');
}

function line({ id, address, meta, owner }: Member, leader: string | undefined): string {
  const told = meta === null ? '' : `  ${JSON.stringify(meta)}`;
  return `${id}  ${address ?? '-'}  by ${owner}${told}${id === leader ? '  leads' : ''}`;
}

interface JoinOptions {
  readonly id?: string;
  readonly address?: string;
  readonly meta?: string;
  readonly lead: boolean;
  readonly ttl: string;
  readonly owner?: string;
}

function join(program: Command, run: Run): void {
  const command = program
    .command('join <group> <command...>')
    .description('run a command as a member of a group: waymark join GROUP -- COMMAND')
    .option('--id <id>', 'unique in the group; default: one that nobody else has')
    .option('--address <address>', 'where others reach it')
    .option('--meta <json>', 'what it tells of itself')
    .option('--lead', 'stand for the leader of the group', false)
    .option('--ttl <duration>', 'how long it counts as a member while waymark is silent', '10s')
    .option('--owner <name>', 'who to show')
    .addHelpText(
      'after',
      `
It leaves when the command ends. When the membership cannot be renewed the command is ended, as by waymark lock; the exit
code is then 14. Else it is the command's own. The command finds its incarnation in WAYMARK_TOKEN.

Example:
  waymark join /workers --id "$HOSTNAME" --address 10.0.0.1:8080 --meta '{"zone":"a"}' -- ./worker`,
    );
  command.action(
    run(async (options) => {
      const [group, argv] = command.processedArgs as [string, string[]];
      const { ttl, meta, ...told } = command.opts<JoinOptions>();
      const call = { ...told, meta: meta === undefined ? undefined : parse(meta) };
      return await runHeld<Membership>(options, {
        argv,
        ttl,
        title: ({ id, path }) => `the membership of ${id} in ${path}`,
        // Its signal would leave while the command still ends.
        take: (ns, { ttlMs }) => ns.members(group).join({ ...call, ttlMs }),
        env: (membership) => ({
          WAYMARK_TOKEN: String(membership.token),
          WAYMARK_MEMBER: membership.id,
          WAYMARK_GROUP_PATH: membership.path,
        }),
      });
    }),
  );
}

function parse(meta: string): unknown {
  try {
    return JSON.parse(meta) as unknown;
  } catch (cause) {
    throw new WaymarkError('invalid', '--meta is not JSON', {}, cause);
  }
}
