import type { Command } from 'commander';
import type { StashNodeInfo } from 'waymark';
import { keyToJson, valueToJson } from '../stash/key-json.js';
import { print, readStdin, secondsMs } from './context.js';
import type { Run } from './program.js';
import { stashFileCommands } from './stash-files.js';
import { stashMoveCommands } from './stash-moves.js';
import { runStashNode, stashNodeOptions } from './stash-node.js';
import { shownMove } from './stash-progress.js';
import { withIndex, withStash } from './stash-space.js';

/** `waymark stash`: a storage node, and below it what is asked of the stash. Keys and values are text. */
export function stashCommand(program: Command, run: Run): void {
  const stash = stashNodeOptions(program.command('stash'));
  stash.addHelpText(
    'after',
    `
Examples:
  waymark stash put sessions alice '{"cart":3}' --ttl 30m
  waymark stash get sessions alice
  waymark stash export sessions sessions.ndjson
  waymark stash status                             nodes, and how far data is moved
  waymark stash drain NODE                         empty a node that is to go, with a line a second
  waymark stash --data /var/lib/waymark-stash --space etcd://10.0.0.1:2379/prod --zone a --listen :7430   a node of its own`,
  );
  stash.action(run((options) => runStashNode(options, stash.opts())));
  put(stash, run);
  get(stash, run);
  del(stash, run);
  scan(stash, run);
  stashFileCommands(stash, run);
  indexes(stash, run);
  nodes(stash, run);
  status(stash, run);
  stashMoveCommands(stash, run);
}

function put(stash: Command, run: Run): void {
  const command = stash
    .command('put <index> <key> <value>')
    .description('write a value: text as it stands, or - for the bytes of standard input')
    .option('--ttl <duration>', 'it goes after so long');
  command.action(
    run(async (options) => {
      const [name, key, given] = command.processedArgs as [string, string, string];
      const { ttl } = command.opts<{ ttl?: string }>();
      const ttlMs = ttl === undefined ? undefined : secondsMs(ttl);
      const value = given === '-' ? await readStdin() : Buffer.from(given);
      const done = await withIndex(stash, options, name, (index, signal) =>
        index.put(key, value, { ttlMs, signal }),
      );
      print(options, done, '');
    }),
  );
}

function get(stash: Command, run: Run): void {
  const command = stash
    .command('get <index> <key>')
    .description('print a value; exit code 1 when there is none')
    .option('--raw', 'the bytes as they are, without a line end after them', false)
    .option('--one', 'from the nearest replica, which may not have the last one', false);
  command.action(
    run(async (options) => {
      const [name, key] = command.processedArgs as [string, string];
      const { raw, one } = command.opts<{ raw: boolean; one: boolean }>();
      const level = one ? 'one' : 'quorum';
      const value = await withIndex(stash, options, name, (index, signal) =>
        index.get(key, { level, signal }),
      );
      if (raw && !options.json) process.stdout.write(value ?? '');
      else {
        const found = value === undefined ? null : { key, ...valueToJson(value) };
        print(options, found, Buffer.from(value ?? '').toString('utf8'));
      }
      return value === undefined ? 1 : 0;
    }),
  );
}

function del(stash: Command, run: Run): void {
  const command = stash
    .command('del <index> <key...>')
    .description('delete keys, whether they are there or not');
  command.action(
    run(async (options) => {
      const [name, keys] = command.processedArgs as [string, string[]];
      const deleted = await withIndex(stash, options, name, (index, signal) =>
        index.deleteMany(keys, { signal }),
      );
      print(options, { deleted }, '');
    }),
  );
}

function scan(stash: Command, run: Run): void {
  const command = stash
    .command('scan <index>')
    .description('print entries, in no order that means anything')
    .option('--prefix <text>', 'only keys that begin so')
    .option('--limit <n>', 'at most so many', Number)
    .option('--keys', 'the keys alone', false);
  command.action(
    run(async (options) => {
      const [name] = command.processedArgs as [string];
      const { prefix, limit, keys } = command.opts<{
        prefix?: string;
        limit?: number;
        keys: boolean;
      }>();
      await withIndex(stash, options, name, async (index, signal) => {
        let left = limit ?? Number.POSITIVE_INFINITY;
        const found = keys ? index.keys({ prefix, signal }) : index.scan({ prefix, signal });
        for await (const one of found) {
          if (left-- <= 0) return;
          const [key, value] = keys ? [one, null] : (one as [string, Uint8Array]);
          const json = keyToJson(key as string);
          const shown = value === null ? {} : valueToJson(value);
          const text = typeof json === 'string' ? json : JSON.stringify(json);
          const tail = value === null ? '' : `  ${Buffer.from(value).toString('utf8')}`;
          print(options, { key: json, ...shown }, `${text}${tail}`);
        }
      });
    }),
  );
}

function indexes(stash: Command, run: Run): void {
  stash
    .command('indexes')
    .description('names of the indexes that have entries')
    .action(
      run(async (options) => {
        const names = await withStash(stash, options, (of, signal) => of.indexes({ signal }));
        print(options, { indexes: names }, names.join('\n'));
      }),
    );
}

function nodes(stash: Command, run: Run): void {
  stash
    .command('nodes')
    .description('who keeps the data, where, how much of it, and what each tells of itself')
    .action(
      run(async (options) => {
        const known = await withStash(stash, options, (of, signal) => of.status({ signal }));
        print(options, { nodes: known.nodes }, known.nodes.map(shownNode).join('\n'));
      }),
    );
}

function status(stash: Command, run: Run): void {
  stash
    .command('status')
    .description('nodes and how they are, copies and quorums, the move of data under way')
    .action(
      run(async (options) => {
        const known = await withStash(stash, options, (of, signal) => of.status({ signal }));
        const { epoch, replicas, writeQuorum, readQuorum } = known;
        const head = `epoch ${epoch}, ${replicas} copies: ${writeQuorum} confirm a write, ${readQuorum} are asked by a read`;
        const moving = known.move === null ? [] : [shownMove(known.move)];
        print(options, known, [head, ...known.nodes.map(shownNode), ...moving].join('\n'));
      }),
    );
}

function shownNode({ id, state, address, zone, weight, share, figures }: StashNodeInfo): string {
  const where = zone === '' ? '' : `  zone ${zone}`;
  const part = `weight ${weight}  ${(share * 100).toFixed(1)} %`;
  const head = `${id}  ${state.padEnd(8)} ${address}${where}  ${part}`;
  if (figures === null) return head;
  const { records, bytes, hints, damaged, writable } = figures;
  const told = [`${records} records`, `${(bytes / 1_048_576).toFixed(1)} MiB`];
  if (hints > 0) told.push(`${hints} keys to tell others`);
  if (damaged > 0) told.push(`${damaged} damaged found`);
  if (!writable) told.push('read-only');
  return `${head}  ${told.join(', ')}`;
}
