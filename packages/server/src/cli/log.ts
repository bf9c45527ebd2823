import type { Command } from 'commander';
import { codecs, type LogEntry } from 'waymark';
import { type GlobalOptions, print, readStdin, secondsMs, withNamespace } from './context.js';
import type { Run } from './program.js';

/** Commands on logs. Values are text. */
export function logCommands(program: Command, run: Run): void {
  const log = program
    .command('log')
    .description('entries in the order in which they were written: put, get, watch, retain')
    .addHelpText(
      'after',
      `
Examples:
  waymark log put samplekey samplevalue
  waymark log get samplekey                      the newest entry
  waymark log get samplekey --all                all of them, newest first
  waymark log watch /audit --after 0             all of them, then those that come
  waymark log retain /audit --entries 1000 --age 720h`,
    );
  put(log, run);
  get(log, run);
  watch(log, run);
  retain(log, run);
}

function put(log: Command, run: Run): void {
  const command = log
    .command('put <path> <value>')
    .description('append an entry: text as it stands, or - for the bytes of standard input')
    .option('--id <id>', 'names the request: repeated with it, the entry is there once')
    .option('--author <name>', 'who to show; default host:pid');
  command.action(
    run(async (options) => {
      const [path, given] = command.processedArgs as [string, string];
      const call = command.opts<{ id?: string; author?: string }>();
      const value = given === '-' ? await readStdin() : Buffer.from(given);
      const appended = await withNamespace(options, (ns, _space, signal) =>
        ns
          .as(codecs.bytes)
          .log(path)
          .append(value, { ...call, signal }),
      );
      print(options, appended, String(appended.position));
    }),
  );
}

interface GetOptions {
  readonly all: boolean;
  readonly oldest: boolean;
  readonly limit?: number;
  readonly after?: number;
}

function get(log: Command, run: Run): void {
  const command = log
    .command('get <path>')
    .description('print the newest entry, or more of them; exit code 1 when there is none')
    .option('--all', 'all entries, newest first, each with its position, time and author', false)
    .option('--limit <entries>', 'so many entries, at most 1 000, in the same form', Number)
    .option('--oldest', 'the oldest first', false)
    .option('--after <position>', 'go on after this position, in the direction of reading', Number);
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { all, oldest, limit, after } = command.opts<GetOptions>();
      const listing = all || limit !== undefined;
      let found = 0;
      await withNamespace(options, async (ns, _space, signal) => {
        const read = { from: oldest ? 'oldest' : 'newest', signal } as const;
        for (let last = after; ;) {
          const wanted = limit ?? (all ? undefined : 1);
          const page = await ns.log(path).read({ ...read, limit: wanted, after: last });
          for (const entry of page.entries) show(options, entry, listing);
          found += page.entries.length;
          last = page.entries.at(-1)?.position;
          if (!all || limit !== undefined || !page.more) return;
        }
      });
      return found === 0 ? 1 : 0;
    }),
  );
}

function watch(log: Command, run: Run): void {
  const command = log
    .command('watch <path>')
    .description('print entries as they come, until interrupted')
    .option('--after <position>', 'those after this position first; 0 for all', Number);
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { after } = command.opts<{ after?: number }>();
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      await withNamespace(options, async (ns, _space, timeout) => {
        const signals = timeout === undefined ? [stop.signal] : [stop.signal, timeout];
        const signal = AbortSignal.any(signals);
        try {
          for await (const entry of ns.log(path).watch({ after, signal }))
            show(options, entry, true);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      });
    }),
  );
}

function retain(log: Command, run: Run): void {
  const command = log
    .command('retain <path>')
    .description('set what a log keeps, and drop the rest; without options it keeps everything')
    .option('--entries <count>', 'at most so many entries', Number)
    .option('--age <duration>', 'none that is older: 30s, 10m, 720h');
  command.action(
    run(async (options) => {
      const path = command.processedArgs[0] as string;
      const { entries, age } = command.opts<{ entries?: number; age?: string }>();
      const ageMs = age === undefined ? undefined : secondsMs(age);
      const info = await withNamespace(options, (ns, _space, signal) =>
        ns.log(path).retain({ entries, ageMs }, { signal }),
      );
      const kept = info.next - info.first;
      print(options, info, `${kept} kept, the next is ${info.next}`);
    }),
  );
}

function show(options: GlobalOptions, entry: LogEntry<string>, listing: boolean): void {
  const { position, at, author, value } = entry;
  const head = `${String(position).padStart(8)}  ${new Date(at).toISOString()}  ${author}`;
  print(options, entry, listing ? `${head}  ${JSON.stringify(value)}` : value);
}
