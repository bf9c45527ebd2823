import { cpus, loadavg } from 'node:os';
import type { LineResult } from './harness/duel.js';
import { figure } from './harness/samples.js';
import { type Judged, judge, targets } from './targets.js';

export interface Report {
  readonly measuredAt: string;
  readonly machine: string;
  readonly results: readonly LineResult[];
  readonly judged: readonly Judged[];
}

export function report(results: readonly LineResult[]): Report {
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}, Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1)}`;
  return { measuredAt: new Date().toISOString(), machine, results, judged: judge(results) };
}

export function printTable(
  { judged, machine }: Report,
  suites: readonly string[],
  peers: boolean,
): void {
  const out = [
    `\n${machine}\n`,
    row(['line', 'against', 'floor', 'goal', 'measured (min – max)', 'verdict']),
  ];
  for (const { target, measured, min, max, verdict, steady } of judged) {
    const bound = target.better === 'more' ? '≥' : '≤';
    const range = `${figure(measured)} (${figure(min)} – ${figure(max)})`;
    out.push(
      row([
        target.line,
        target.peer ?? '–',
        `${bound} ${target.floor}`,
        `${bound} ${target.goal}`,
        range,
        steady ? verdict : `${verdict} (unsteady)`,
      ]),
    );
  }
  const missing = targets.filter(
    (target) => suites.includes(target.suite) && !judged.some((one) => one.target === target),
  );
  for (const target of peers ? missing : [])
    out.push(row([target.line, target.peer ?? '–', '', '', '', 'not measured']));
  process.stdout.write(`${out.join('\n')}\n`);
}

function row(cells: readonly string[]): string {
  const widths = [44, 28, 8, 8, 28, 0];
  return cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' ');
}
