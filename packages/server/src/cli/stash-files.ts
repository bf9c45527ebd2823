import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { type StashIndex, WaymarkError } from 'waymark';
import { systemClock } from 'waymark/engine';
import { jsonLines } from '../stash/json-lines.js';
import { keyFromJson, keyToJson, valueFromJson, valueToJson } from '../stash/key-json.js';
import { type GlobalOptions, print, secondsMs } from './context.js';
import type { Run } from './program.js';
import { withIndex } from './stash-space.js';

/** Whole indexes of the stash to files and back, as lines of JSON. */
export function stashFileCommands(stash: Command, run: Run): void {
  importCommand(stash, run);
  exportCommand(stash, run);
}

type Bytes = StashIndex<Uint8Array>;

function importCommand(stash: Command, run: Run): void {
  const command = stash
    .command('import <index> [file]')
    .description(
      'put entries from lines of JSON, {"key":…,"value":…}; from standard input by default',
    )
    .option('--ttl <duration>', 'they go after so long');
  command.action(
    run(async (options) => {
      const [name, file] = command.processedArgs as [string, string | undefined];
      const { ttl } = command.opts<{ ttl?: string }>();
      const ttlMs = ttl === undefined ? undefined : secondsMs(ttl);
      const source = file === undefined || file === '-' ? process.stdin : createReadStream(file);
      const progress = new Progress(options, 'read');
      const count = await withIndex(stash, options, name, (index, signal) =>
        index.putMany(entriesOf(source, progress), { ttlMs, signal }),
      );
      progress.end();
      print(options, { imported: count }, `${count} imported`);
    }),
  );
}

async function* entriesOf(source: AsyncIterable<Uint8Array | string>, progress: Progress) {
  for await (const line of jsonLines(readable(source))) {
    yield [keyFromJson(line['key']), valueFromJson(line)] as const;
    progress.one();
  }
}

async function* readable(source: AsyncIterable<Uint8Array | string>) {
  try {
    yield* source;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new WaymarkError('invalid', `cannot read it: ${message}`, {}, cause);
  }
}

function exportCommand(stash: Command, run: Run): void {
  const command = stash
    .command('export <index> [file]')
    .description(
      'write all entries as lines of JSON that import takes; to standard output by default',
    )
    .option('--prefix <text>', 'only keys that begin so');
  command.action(
    run(async (options) => {
      const [name, file] = command.processedArgs as [string, string | undefined];
      const { prefix } = command.opts<{ prefix?: string }>();
      const progress = new Progress(options, 'exported');
      await withIndex(stash, options, name, async (index, signal) => {
        const lines = Readable.from(linesOf(index, { prefix, signal }, progress));
        if (file === undefined || file === '-') {
          await pipeline(lines, process.stdout, { end: false });
        } else await pipeline(lines, createWriteStream(file));
      });
      progress.end();
      if (file !== undefined && file !== '-') {
        print(options, { exported: progress.count }, `${progress.count} exported`);
      }
    }),
  );
}

async function* linesOf(
  index: Bytes,
  call: { readonly prefix?: string | undefined; readonly signal?: AbortSignal | undefined },
  progress: Progress,
): AsyncGenerator<string> {
  for await (const [key, value] of index.scan(call)) {
    const shown = valueToJson(value);
    // One of both: import takes no more.
    const { base64 } = shown;
    const told = shown.value === undefined ? { base64 } : { value: shown.value };
    yield `${JSON.stringify({ key: keyToJson(key), ...told })}\n`;
    progress.one();
  }
}

const progressMs = 1_000;

/** Tells each second on standard error how far it is. */
class Progress {
  count = 0;
  readonly #options: GlobalOptions;
  readonly #verb: string;
  readonly #began = systemClock.now();
  #toldAt = systemClock.now();

  constructor(options: GlobalOptions, verb: string) {
    this.#options = options;
    this.#verb = verb;
  }

  one(): void {
    this.count++;
    if (this.count % 100 === 0 && systemClock.now() - this.#toldAt >= progressMs) this.#tell();
  }

  end(): void {
    if (this.#toldAt !== this.#began) this.#tell();
  }

  #tell(): void {
    const now = systemClock.now();
    this.#toldAt = now;
    const perSecond = Math.round((this.count * 1_000) / (now - this.#began));
    const { json } = this.#options;
    const told = json
      ? JSON.stringify({ progress: { [this.#verb]: this.count, perSecond } })
      : `${this.count} ${this.#verb}, ${perSecond} a second`;
    process.stderr.write(`${told}\n`);
  }
}
