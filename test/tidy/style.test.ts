import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';
import { packageSources, sourcesIn } from './sources.js';

const fileLinesMax = 300;
const functionLinesMax = 70;

/** Files that may be longer, each with why. */
const longFiles: Readonly<Record<string, string>> = {
  'packages/waymark/src/engines/kit/keyspace.ts':
    'one state machine: every method changes the same few fields',
  'packages/waymark/src/space/types.ts': 'the public types, with their docs',
  'packages/waymark/src/engines/etcd/gen/etcd_pb.ts': 'generated from proto/etcd.proto',
  'packages/waymark/src/core/engine.ts': 'the waist, with its docs',
  'packages/waymark/src/space/namespace.ts':
    'a method for each call of a namespace, most of a line',
};

const consoleSources = ['.ts', '.tsx'].flatMap((end) => sourcesIn('packages/console/src', end));
const allSources = [...packageSources(), ...consoleSources];

/** Platform clocks, timers and randomness, and what to take instead. */
const banned: readonly (readonly [RegExp, string])[] = [
  [/\bDate\.now\(|\bnew Date\(\)/, 'Clock.wallNow()'],
  [/\bperformance\.now\(|\bprocess\.hrtime/, 'Clock.now()'],
  [/(?<!\.)\b(setTimeout|setInterval)\(/, 'Clock.after()'],
  [/\bMath\.random\(|\brandomUUID\(|\brandomBytes\(/, 'Random'],
];

/** The adapter itself, and files whose timers guard real sockets and processes. */
const mayUseClocks: Readonly<Record<string, string>> = {
  'packages/waymark/src/core/system-clock.ts': 'the adapter',
  'packages/waymark/src/browser/system-clock.ts': 'the adapter of a page',
  'packages/server/src/cli/serve.ts': 'bounds its own stop',
};

test('[tidy] files are short', () => {
  const long = allSources
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ path, lines }) => lines > fileLinesMax && longFiles[path] === undefined);
  expect(
    long,
    `more than ${fileLinesMax} lines: split it by idea, or give the reason in longFiles`,
  ).toEqual([]);
});

test('[tidy] functions fit on a screen', () => {
  const long: string[] = [];
  for (const { path, text } of allSources) {
    const starts = lineStarts(text);
    visit(parseSync(path, text).program, (node) => {
      if (!/Function/.test(node.type) || node.type === 'TSFunctionType') return;
      const lines = lineAt(starts, node.end) - lineAt(starts, node.start) + 1;
      if (lines > functionLinesMax)
        long.push(`${path}:${lineAt(starts, node.start) + 1} ${lines} lines`);
    });
  }
  expect(
    long,
    `more than ${functionLinesMax} lines: branch in the parent, move leaves out`,
  ).toEqual([]);
});

test('[tidy] clocks and randomness come from their adapter', () => {
  const wrong: string[] = [];
  for (const { path, text } of packageSources()) {
    if (mayUseClocks[path] !== undefined || path.includes('/testing/')) continue;
    for (const [i, line] of text.split('\n').entries()) {
      if (/^\s*(\*|\/\/)/.test(line)) continue;
      for (const [pattern, instead] of banned)
        if (pattern.test(line)) wrong.push(`${path}:${i + 1}: take ${instead}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('[tidy] the console makes no markup of a text, and asks nobody but its server', () => {
  const wrong = consoleSources.filter(({ text }) =>
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|new EventSource|https?:\/\//.test(text),
  );
  expect(wrong.map(({ path }) => path)).toEqual([]);
});

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

function visit(value: unknown, seen: (node: Node) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (typeof (value as Node).type === 'string') seen(value as Node);
  for (const child of Object.values(value)) visit(child, seen);
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function lineAt(starts: readonly number[], offset: number): number {
  return starts.findLastIndex((start) => start <= offset);
}
