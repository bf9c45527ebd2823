import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { codecs, type TxnCall, type WatchEvent, WaymarkError } from 'waymark';
import { parseLeaseId } from 'waymark/engine';
import { parseJson, print, readStdin, withNamespace } from './context.js';
import { ls } from './ls.js';
import type { Run } from './program.js';

/** Commands on keys. Values are text. */
export function dataCommands(program: Command, run: Run): void {
  get(program, run);
  put(program, run);
  del(program, run);
  ls(program, run);
  watch(program, run);
  txn(program, run);
}

function get(program: Command, run: Run): void {
  const command = program
    .command('get <path>')
    .description('print a value; exit code 1 when there is none')
    .option('--at <revision>', 'read the past', Number)
    .option('--nearest', 'or that of the nearest ancestor that has one, behind its path', false)
    .option('--raw', 'the bytes as they are, without a line end after them', false);
  command.action(
    run(async (options) => {
      const { at, nearest, raw } = command.opts<{ at?: number; nearest: boolean; raw: boolean }>();
      const path = command.processedArgs[0] as string;
      const entry = await withNamespace(options, (ns, _space, signal) =>
        ns.as(codecs.bytes)[nearest ? 'nearest' : 'get'](path, { at, signal }),
      );
      const text = entry === null ? '' : Buffer.from(entry.value).toString('utf8');
      if (raw && !options.json) process.stdout.write(entry?.value ?? '');
      else print(options, entry && { ...entry, value: text }, nearest ? told(entry, text) : text);
      return entry === null ? 1 : 0;
    }),
  );
}

function told(entry: { readonly path: string } | null, text: string): string {
  return entry === null ? '' : `${entry.path}  ${text}`;
}

function put(program: Command, run: Run): void {
  const command = program
    .command('put <path> <value>')
    .description('write a value: text as it stands, or - for the bytes of standard input')
    .option('--as-json', 'check that the value is JSON, as programs store it by default', false)
    .option(
      '--if-revision <revision>',
      'only if the entry is at this revision; 0: only if there is none',
      Number,
    )
    .option('--lease <id>', 'vanish with this lease')
    .addHelpText(
      'after',
      `
Examples:
  waymark put /orders/42 shipped
  waymark put /orders/42 '{"state":"shipped"}' --as-json
  waymark put /config - < config.yaml`,
    );
  command.action(
    run(async (options) => {
      const [path, given] = command.processedArgs as [string, string];
      const { asJson, ifRevision, lease: asked } = command.opts<PutOptions>();
      const lease = asked === undefined ? undefined : parseLeaseId(asked);
      const value = given === '-' ? await readStdin() : Buffer.from(given);
      if (asJson) parseJson(value.toString('utf8'), `the value of ${path}`);
      const put = await withNamespace(options, (ns, _space, signal) =>
        ns.as(codecs.bytes).put(path, value, { ifRevision, lease, signal }),
      );
      print(options, put, '');
    }),
  );
}

interface PutOptions {
  readonly asJson: boolean;
  readonly ifRevision?: number;
  readonly lease?: string;
}

function del(program: Command, run: Run): void {
  const command = program
    .command('del <path>')
    .description('delete a path; exit code 1 when there was nothing')
    .option('--tree', 'and everything below it', false)
    .option('--if-revision <revision>', 'only if the entry is at this revision', Number);
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { tree, ifRevision } = command.opts<{ tree: boolean; ifRevision?: number }>();
      const result = await withNamespace(options, (ns, _space, signal) =>
        tree
          ? ns.deleteTree(path, { ifRevision, signal })
          : ns.delete(path, { ifRevision, signal }),
      );
      print(options, result, `${result.deleted} deleted`);
      return result.deleted === 0 ? 1 : 0;
    }),
  );
}

function watch(program: Command, run: Run): void {
  const command = program
    .command('watch <path>')
    .description('print what is there, then every change, until interrupted')
    .option('--tree', 'and everything below it', false)
    .option('--after <revision>', 'resume after this revision, without what is there', Number)
    .option('--no-locks', 'without lock and unlock events');
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { tree, after, locks } = command.opts<{
        tree: boolean;
        after?: number;
        locks: boolean;
      }>();
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      await withNamespace(options, async (ns, _space, timeout) => {
        const signal =
          timeout === undefined ? stop.signal : AbortSignal.any([stop.signal, timeout]);
        try {
          for await (const event of ns.watch(path, { tree, after, locks, signal }))
            print(options, event, describe(event));
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      });
    }),
  );
}

function describe(event: WatchEvent<string>): string {
  const head = `${String(event.revision).padStart(8)}  ${event.kind.padEnd(6)} ${event.path}`;
  if (event.kind === 'put') return `${head}  ${JSON.stringify(event.value)}`;
  if (event.kind === 'lock' || event.kind === 'unlock') {
    const { owner, token, mode, tree } = event.lock;
    return `${head}  ${mode}${tree ? ' tree' : ''} by ${owner}, token ${token}${event.kind === 'unlock' && event.expired ? ', expired' : ''}`;
  }
  return head;
}

function txn(program: Command, run: Run): void {
  const command = program
    .command('txn [file]')
    .description(
      'run a transaction from a JSON file or standard input; exit code 1 when its checks do not hold',
    )
    .addHelpText(
      'after',
      `
Example:
  echo '{"when":[{"path":"/a","exists":false}],"apply":[{"put":"/a","value":"1"}],"otherwise":[{"get":"/a"}]}' | waymark txn`,
    );
  command.action(
    run(async (options) => {
      const file = command.processedArgs[0] as string | undefined;
      const text = file === undefined || file === '-' ? await readStdin() : readInput(file);
      const call = parseJson(text.toString('utf8'), 'the transaction') as TxnCall;
      const outcome = await withNamespace(options, (ns, _space, signal) =>
        ns.txn({ ...call, signal }),
      );
      print(options, outcome, JSON.stringify(outcome, null, 2));
      return outcome.succeeded ? 0 : 1;
    }),
  );
}

function readInput(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new WaymarkError('invalid', `cannot read ${file}`, { file }, cause);
  }
}
