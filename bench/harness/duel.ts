import { figure, type Sample, spread, type Spread } from './samples.js';

/** One side of a line: a name and how to run it once. */
export interface Side {
  readonly name: string;
  readonly run: () => Promise<Sample>;
}

export interface SideResult {
  readonly name: string;
  readonly runs: readonly Sample[];
  readonly value: Spread;
}

export interface Ratio extends Spread {
  readonly peer: string;
  /** Ours over theirs, run by run: both sides of a pair ran one after the other. */
  readonly pairs: readonly number[];
}

export interface LineResult {
  readonly line: string;
  readonly unit: string;
  readonly sides: readonly SideResult[];
  readonly ratios: readonly Ratio[];
}

export interface Line {
  readonly line: string;
  readonly unit: string;
  readonly rounds: number;
  /** One more run of each side first, which does not count: code is compiled, servers have settled. */
  readonly warm: boolean;
}

/**
 * Runs the sides in turns, A B C, C B A, …, and compares the first with each other, pair by pair: none has the same side before
 * it each time, whose server may still be at work.
 */
export async function duel(line: Line, sides: readonly Side[]): Promise<LineResult> {
  const runs: Sample[][] = sides.map(() => []);
  for (let round = line.warm ? -1 : 0; round < line.rounds; round++) {
    const inOrder = [...sides.entries()];
    if (round % 2 !== 0) inOrder.reverse();
    for (const [index, side] of inOrder) {
      try {
        const sample = await side.run();
        if (round >= 0) runs[index]?.push(sample);
      } catch (error) {
        throw new Error(`${line.line}: ${side.name}: ${String(error)}`, { cause: error });
      }
    }
  }
  const ours = (runs[0] ?? []).map((sample) => sample.value);
  const results = sides.map(({ name }, index) => {
    const own = runs[index] ?? [];
    return { name, runs: own, value: spread(own.map((sample) => sample.value)) };
  });
  const ratios = results.slice(1).map(({ name, runs: theirs }) => {
    const pairs = theirs.map((sample, round) => (ours[round] ?? 0) / sample.value);
    return { peer: name, pairs, ...spread(pairs) };
  });
  const result = { line: line.line, unit: line.unit, sides: results, ratios };
  print(result);
  return result;
}

function print(result: LineResult): void {
  const out = [`\n${result.line}  (${result.unit}: min · median · max)`];
  for (const { name, runs, value } of result.sides) {
    const all = runs.map((sample) => figure(sample.value)).join(', ');
    out.push(
      `  ${name.padEnd(28)} ${figure(value.min)} · ${figure(value.median)} · ${figure(value.max)}   [${all}]`,
    );
    const last = runs[Math.floor(runs.length / 2)];
    if (last?.p50 !== undefined) {
      const max = last.max === undefined ? '' : `, max ${figure(last.max)}`;
      out.push(`  ${''.padEnd(28)} p50 ${figure(last.p50)}, p99 ${figure(last.p99 ?? 0)}${max} ms`);
    }
    if (last?.note !== undefined) out.push(`  ${''.padEnd(28)} ${last.note}`);
  }
  for (const { peer, min, median, max, pairs } of result.ratios) {
    const all = pairs.map((pair) => figure(pair)).join(', ');
    out.push(
      `  ${`ratio to ${peer}`.padEnd(28)} ${figure(min)} · ${figure(median)} · ${figure(max)}   [${all}]`,
    );
  }
  process.stdout.write(`${out.join('\n')}\n`);
}
