import type { Command } from 'commander';
import { codecs, type Reply } from 'waymark';
import { undelivered } from '../undelivered.js';
import {
  fail,
  type GlobalOptions,
  oneMore,
  parseJson,
  print,
  readStdin,
  secondsMs,
  withNamespace,
} from './context.js';
import type { Run } from './program.js';

/** Messages to the members of a group. Bodies and replies are text. */
export function messageCommands(program: Command, run: Run): void {
  send(program, run);
  broadcast(program, run);
}

interface MessageOptions {
  readonly to?: string;
  readonly only?: readonly string[];
  readonly deadline: string;
  readonly owner?: string;
  readonly asJson: boolean;
}

function send(program: Command, run: Run): void {
  const command = withMessageOptions(program.command('send <group> <message>'))
    .description('send a message to the leader of a group, and print its reply')
    .option('--to <id>', 'to this member, whoever leads')
    .addHelpText(
      'after',
      `
The message is text as it stands, or - for the bytes of standard input. While nobody leads, it waits for a leader.

Exit codes: 0 delivered; 16 nobody has seen it: no leader, no such member, or not in time; 31 its handler refused it; 17 unknown, it
was handed out and no answer came.

Examples:
  waymark send /workers rotate
  waymark send /workers '{"job":42}' --as-json   members take JSON unless their program says otherwise
  waymark send /workers - --to w1 < report.txt`,
    );
  command.action(
    run(async (options) => {
      const [group, given] = command.processedArgs as [string, string];
      const { to, deadline, owner, asJson } = command.opts<MessageOptions>();
      const body = await bodyOf(given, asJson);
      const deadlineMs = secondsMs(deadline);
      const reply = await withNamespace(options, async (ns, _space, signal) => {
        const members = ns.as(codecs.bytes).members(group, { owner });
        const call = { deadlineMs, signal };
        return await (to === undefined
          ? members.send<Uint8Array>(body, call)
          : members.sendTo<Uint8Array>(to, body, call));
      });
      if (reply.outcome !== 'delivered') return fail(undelivered(group, reply), options.json);
      const told = textOf(reply);
      print(options, told, told.value);
      return 0;
    }),
  );
}

function broadcast(program: Command, run: Run): void {
  const command = withMessageOptions(program.command('broadcast <group> <message>'))
    .description('send a message to all members of a group, and print their replies as they come')
    .option('--only <id>', 'to this member; once for each', oneMore)
    .addHelpText(
      'after',
      `
The message is text as it stands, or - for the bytes of standard input. Exit code 1 when it was not delivered to every one of them.

Examples:
  waymark broadcast /workers 'who is there?'
  waymark broadcast /workers ping --only w1 --only w2 --json`,
    );
  command.action(
    run(async (options) => {
      const [group, given] = command.processedArgs as [string, string];
      const { only, deadline, owner, asJson } = command.opts<MessageOptions>();
      const body = await bodyOf(given, asJson);
      const deadlineMs = secondsMs(deadline);
      let missed = 0;
      await withNamespace(options, async (ns, _space, signal) => {
        const members = ns.as(codecs.bytes).members(group, { owner });
        const call = { deadlineMs, only, signal };
        for await (const reply of members.broadcast<Uint8Array>(body, call)) {
          show(options, reply);
          if (reply.outcome !== 'delivered') missed++;
        }
      });
      return missed === 0 ? 0 : 1;
    }),
  );
}

function withMessageOptions(command: Command): Command {
  return command
    .option('--deadline <duration>', 'how long to wait for a reply, up to 10m', '10s')
    .option('--owner <name>', 'who to show as the sender; default: this host and process')
    .option('--as-json', 'check that the message is JSON, as programs take it by default', false);
}

/** @throws {WaymarkError} `invalid` */
async function bodyOf(given: string, asJson: boolean): Promise<Buffer> {
  const body = given === '-' ? await readStdin() : Buffer.from(given);
  if (asJson) parseJson(body.toString('utf8'), 'the message');
  return body;
}

function show(options: GlobalOptions, reply: Reply<Uint8Array>): void {
  if (reply.outcome === 'delivered') {
    const told = textOf(reply);
    return print(options, told, `${told.member}  ${JSON.stringify(told.value)}`);
  }
  print(options, reply, `${reply.member}  ${reply.outcome}: ${reply.why}`);
}

function textOf(
  reply: Reply<Uint8Array> & { readonly outcome: 'delivered' },
): Reply<string> & { readonly outcome: 'delivered' } {
  return { ...reply, value: Buffer.from(reply.value).toString('utf8') };
}
