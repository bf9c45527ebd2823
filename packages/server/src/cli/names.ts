import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { lists, type Name, type NamesChange, type NameList, WaymarkError } from 'waymark';
import { type GlobalOptions, interruption, print, secondsMs, withNamespace } from './context.js';
import type { Run } from './program.js';
import { runHeld } from './run-held.js';

/** Names of an ordered list for processes. */
export function nameCommands(program: Command, run: Run): void {
  const command = program
    .command('name')
    .description('names for processes: claim the lowest free one of a list');
  claim(command, run);
  members(command, run);
  watch(command, run);
}

interface ClaimOptions {
  readonly owner?: string;
  readonly list?: string;
  readonly ttl: string;
  readonly wait?: string;
  readonly grace?: string;
}

function claim(program: Command, run: Run): void {
  const command = program
    .command('claim <path> [command...]')
    .description('run a command under a name: waymark name claim PATH -- COMMAND')
    .option('--owner <name>', 'who is to have the name; default: this host and process')
    .option(
      '--list <list>',
      'mountains, mountains-ascii, PREFIX:COUNT, or @FILE with a name a line; default: the list in use, or the mountains',
    )
    .option('--ttl <duration>', 'how long the name outlives a silent waymark', '10s')
    .option('--wait <duration>', 'wait so long for a free name; default: exit code 12 when none is')
    .option('--grace <duration>', 'keep the name for its owner so long after a crash')
    .addHelpText(
      'after',
      `
The command finds WAYMARK_NAME, WAYMARK_POSITION and WAYMARK_TOKEN in its environment. When the name cannot be renewed, the
command is ended as by waymark lock; the exit code is then 14. Without a command the name is printed, and held until interrupted.

Examples:
  waymark name claim /metrics -- sh -c 'exec ./worker --prefix "$WAYMARK_NAME"'
  waymark name claim /web --list web:100 --owner web-7f3 --grace 5m -- ./server
  waymark name claim /metrics --wait 30s`,
    );
  command.action(
    run(async (options) => {
      const [path, argv = []] = command.processedArgs as [string, string[]?];
      const { owner, ttl, wait, grace, ...told } = command.opts<ClaimOptions>();
      const list = told.list === undefined ? undefined : listOf(told.list);
      const graceMs = grace === undefined ? undefined : secondsMs(grace);
      return await runHeld<Name>(options, {
        argv,
        ttl,
        wait,
        title: ({ name }) => `the name ${name}`,
        take: (ns, call, space) =>
          ns.names(path, list).claim(owner ?? space.owner, { ...call, graceMs }),
        env: (name) => ({
          WAYMARK_TOKEN: String(name.token),
          WAYMARK_NAME: name.name,
          WAYMARK_POSITION: String(name.position),
        }),
        show: ({ name, position, owner: by, token, path: at }) =>
          print(options, { name, position, owner: by, token, path: at }, name),
      });
    }),
  );
}

function members(program: Command, run: Run): void {
  const command = program
    .command('members <path>')
    .description('who is called what, for whom a name is kept, and who waits');
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const told = await withNamespace(options, (ns, _space, signal) =>
        ns.names(path).members({ signal }),
      );
      const lines = [
        ...told.members.map(({ name, owner }) => `${name}  ${owner}`),
        ...told.kept.map(({ name, owner }) => `${name}  kept for ${owner}`),
        ...told.waiting.map((owner, i) => `  ${i + 1}. ${owner} waits`),
      ];
      print(options, told, lines.join('\n'));
    }),
  );
}

function watch(program: Command, run: Run): void {
  const command = program
    .command('watch <path>')
    .description('the claims that stand, then every claim and every end of one, until interrupted');
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const interrupted = interruption();
      await withNamespace(options, async (ns, _space, timeout) => {
        const signal =
          timeout === undefined ? interrupted : AbortSignal.any([interrupted, timeout]);
        try {
          for await (const change of ns.names(path).watch({ signal })) tell(options, change);
        } catch (error) {
          if (!interrupted.aborted) throw error;
        }
      });
    }),
  );
}

function tell(options: GlobalOptions, change: NamesChange): void {
  const lines = [
    ...change.freed.map(({ name, owner }) => `- ${name}  ${owner}`),
    ...change.claimed.map(({ name, owner }) => `+ ${name}  ${owner}`),
  ];
  print(options, change, lines.join('\n'));
}

/** @throws {WaymarkError} `invalid` */
function listOf(text: string): NameList {
  if (text === 'mountains') return lists.mountains;
  if (text === 'mountains-ascii') return lists.mountainsAscii;
  if (text.startsWith('@')) return linesOf(text.slice(1));
  const match = /^(.*):(\d{1,9})$/.exec(text);
  if (match !== null) return lists.prefixed(match[1] ?? '', Number(match[2]));
  throw new WaymarkError(
    'invalid',
    `'${text.slice(0, 40)}' is no list: take mountains, mountains-ascii, PREFIX:COUNT or @FILE`,
  );
}

function linesOf(file: string): NameList {
  try {
    return readFileSync(file, 'utf8')
      .split(/\r?\n/)
      .filter((line) => line !== '');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WaymarkError('invalid', `the list cannot be read: ${why}`, { file }, error);
  }
}
