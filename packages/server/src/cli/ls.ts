import type { Command } from 'commander';
import { type Namespace, WaymarkError } from 'waymark';
import { outColors } from './colors.js';
import { type GlobalOptions, print, withNamespace } from './context.js';
import type { Run } from './program.js';

/** Gets in one transaction, below the limit of 128 operations. */
const getsMax = 100;

interface Shown {
  readonly path: string;
  readonly level: number;
  readonly value: string | null;
}

interface Listing {
  readonly ns: Namespace<string>;
  readonly keep: (value: string) => string;
  readonly signal: AbortSignal | undefined;
}

export function ls(program: Command, run: Run): void {
  const command = program
    .command('ls [path]')
    .description('show the tree below a path')
    .option('--depth <n>', 'levels to show; reads no deeper', Number)
    .option('--leaves', 'only what has nothing below it, a whole path a line', false)
    .option('--limit <n>', 'entries to show at most', Number, 10_000);
  command.action(
    run(async (options) => {
      const path = (command.processedArgs[0] as string | undefined) ?? '/';
      const { depth, leaves, limit } = command.opts<LsOptions>();
      refuseBadCount('--depth', depth);
      refuseBadCount('--limit', limit);
      if (leaves && depth !== undefined) {
        throw new WaymarkError(
          'invalid',
          '--leaves goes to the end of each branch: without --depth',
        );
      }
      await withNamespace(options, async (ns, _space, signal) => {
        if (leaves) return await showLeaves(ns, path, { options, limit, signal });
        let shown = 0;
        // A line of text shows the beginning of a value; a whole one is kept for JSON alone.
        const keep = options.json ? (value: string): string => value : short;
        const listing: Listing = { ns, keep, signal };
        const entries =
          depth === undefined
            ? wholeTree(listing, path, limit + 1)
            : levels(listing, path, 0, depth);
        for await (const { path: name, level, value } of entries) {
          if (++shown > limit) return tellMore(limit);
          const document = { path: name, ...(value === null ? {} : { value }) };
          print(options, document, `${'  '.repeat(level)}${line(name, value)}`);
        }
      });
    }),
  );
}

interface LsOptions {
  readonly depth?: number;
  readonly leaves: boolean;
  readonly limit: number;
}

async function showLeaves(
  ns: Namespace<string>,
  path: string,
  call: {
    readonly options: GlobalOptions;
    readonly limit: number;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const { options, signal } = call;
  let left = call.limit;
  let [after, at]: [string | undefined, number | undefined] = [undefined, undefined];
  for (;;) {
    const page = await ns.leaves(path, { after, at, limit: Math.min(left, 1_000), signal });
    for (const leaf of page.entries) print(options, { path: leaf }, leaf);
    left -= page.entries.length;
    if (!page.more) return;
    if (left === 0) return tellMore(call.limit);
    after = page.entries.at(-1);
    at = page.revision;
  }
}

function refuseBadCount(option: string, count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count > 0)) return;
  throw new WaymarkError('invalid', `${option} takes a whole number above 0`);
}

function tellMore(limit: number): void {
  process.stderr.write(
    `waymark: there is more than ${limit} entries: name a deeper path, or give --depth or --limit\n`,
  );
}

interface Node {
  value: string | null;
  readonly children: Map<string, Node>;
}

/**
 * Everything below, read in pages. Path order is not the tree's (`/a-b` stands between `/a` and `/a/c`), so it is gathered first;
 * as many entries as are shown, no more.
 */
async function* wholeTree(
  { ns, keep, signal }: Listing,
  path: string,
  entriesMax: number,
): AsyncGenerator<Shown> {
  const root: Node = { value: null, children: new Map() };
  const base = path === '/' ? '' : path;
  let left = entriesMax;
  let [after, at]: [string | undefined, number | undefined] = [undefined, undefined];
  for (let more = true; more && left > 0;) {
    const page = await ns.tree(path, { after, at, limit: Math.min(left, 1_000), signal });
    for (const entry of page.entries) {
      if (entry.path !== path) add(root, entry.path.slice(base.length + 1), keep(entry.value));
    }
    left -= page.entries.length;
    more = page.more;
    after = page.entries.at(-1)?.path;
    at = page.revision;
  }
  yield* shownOf(root, base, 0);
}

function add(root: Node, path: string, value: string): void {
  let node = root;
  for (const segment of path.split('/')) {
    let child = node.children.get(segment);
    if (child === undefined)
      node.children.set(segment, (child = { value: null, children: new Map() }));
    node = child;
  }
  node.value = value;
}

function* shownOf(node: Node, path: string, level: number): Generator<Shown> {
  for (const name of [...node.children.keys()].sort(byBytes)) {
    const child = node.children.get(name) as Node;
    yield { path: `${path}/${name}`, level, value: child.value };
    yield* shownOf(child, `${path}/${name}`, level + 1);
  }
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Level by level, the values of a page of names in few requests. */
async function* levels(
  listing: Listing,
  path: string,
  level: number,
  depth: number,
): AsyncGenerator<Shown> {
  const { ns, signal } = listing;
  for (let after: string | undefined; ;) {
    const page = await ns.children(path, { after, signal });
    const paths = page.entries.map((child) => (path === '/' ? `/${child}` : `${path}/${child}`));
    const values = await valuesOf(listing, paths);
    for (const [i, name] of paths.entries()) {
      yield { path: name, level, value: values[i] ?? null };
      if (level + 1 < depth) yield* levels(listing, name, level + 1, depth);
    }
    after = page.entries.at(-1);
    if (!page.more) return;
  }
}

async function valuesOf(
  { ns, keep, signal }: Listing,
  paths: readonly string[],
): Promise<(string | null)[]> {
  const values: (string | null)[] = [];
  for (let at = 0; at < paths.length; at += getsMax) {
    const apply = paths.slice(at, at + getsMax).map((get) => ({ get }));
    for (const result of (await ns.txn({ apply, signal })).results) {
      const entry = result.type === 'get' ? result.entry : null;
      values.push(entry === null ? null : keep(entry.value));
    }
  }
  return values;
}

function short(value: string): string {
  return value.length > 60 ? `${value.slice(0, 60)}…` : value;
}

function line(path: string, value: string | null): string {
  const name = outColors.bold(path.slice(path.lastIndexOf('/') + 1));
  return value === null ? `${name}/` : `${name}  ${JSON.stringify(value)}`;
}
