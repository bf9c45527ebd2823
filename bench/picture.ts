import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { figure } from './harness/samples.js';
import type { Report } from './report.js';
import { judge, type Judged } from './targets.js';

/**
 * Makes the README's picture and table from a report: `node bench/dist/picture.js REPORT.json`. Of several reports the lines of later ones
 * stand in place of those before, and the table says so. Writes docs/bench.svg, and the table between `<!-- bench:begin -->` and `<!-- bench:end -->` of README.md where those lines stand, else to the output.
 */
const marks = { begin: '<!-- bench:begin -->', end: '<!-- bench:end -->' };

async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  if (positionals.length === 0)
    throw new Error('which report? npm run bench -- all --peers --json FILE makes one');
  const files = positionals.map(async (file) => JSON.parse(await readFile(file, 'utf8')) as Report);
  const report = joined(await Promise.all(files));
  await writeFile('docs/bench.svg', picture(report));
  const text = table(report);
  const readme = await readFile('README.md', 'utf8');
  const [begin, end] = [readme.indexOf(marks.begin), readme.indexOf(marks.end)];
  if (begin < 0 || end < begin) process.stdout.write(text);
  else
    await writeFile(
      'README.md',
      `${readme.slice(0, begin)}${marks.begin}\n\n${text}\n${readme.slice(end)}`,
    );
}

interface Joined extends Report {
  readonly runs: number;
}

function joined(reports: readonly Report[]): Joined {
  const results = new Map(reports.flatMap((one) => one.results.map((line) => [line.line, line])));
  const last = reports.at(-1) as Report;
  return { ...last, results: [...results.values()], runs: reports.length };
}

/** Every target, with what was measured. */
function table({ machine, measuredAt, results, runs }: Joined): string {
  const rows = judge(results).map(({ target, measured, min, max, verdict, steady }) => {
    const bound = target.better === 'more' ? '≥' : '≤';
    const line = results.find((result) => result.line === target.line);
    const ours = line?.sides[0]?.value.median ?? 0;
    const theirs = line?.sides.find(({ name }) => name === target.peer)?.value.median;
    const unit = line?.unit.split(/[,:;]/)[0] ?? '';
    const values = `${figure(ours)}${theirs === undefined ? '' : ` : ${figure(theirs)}`} ${unit}`;
    const against = target.peer === undefined ? '' : ` : ${target.peer}`;
    const range =
      target.peer === undefined ? '' : `**${figure(measured)}** (${figure(min)} – ${figure(max)})`;
    return `| ${target.line}${against} | ${values} | ${range} | ${bound} ${target.floor} | ${bound} ${target.goal} | ${verdict}${steady ? '' : ' (unsteady)'} |`;
  });
  return [
    `Medians, ${machine}, ${measuredAt.slice(0, 10)}; client and server on the same machine, both sides in turns${runs === 1 ? '' : `; lines of ${runs} runs, each line of one`}; unsteady: the runs differed by more than three times.`,
    '',
    '| what : against | figures | ratio (min – max) | floor | goal | verdict |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

const [rowHeight, labelWidth, plotWidth, top] = [22, 400, 420, 46];
const [least, most] = [0.05, 200];

/** Bars on a logarithmic scale: to the right of 1, Waymark is that many times better; ticks show floor and goal. */
function picture({ machine, results }: Report): string {
  const bars = judge(results).filter(({ target }) => target.peer !== undefined);
  const height = top + bars.length * rowHeight + 34;
  const width = labelWidth + plotWidth + 70;
  const grid = [0.1, 1, 10, 100].map((at) => {
    const x = place(at);
    const line = `<line x1="${x}" y1="${top - 6}" x2="${x}" y2="${height - 28}" stroke="${at === 1 ? '#888' : '#ddd'}"/>`;
    return `${line}<text x="${x}" y="${height - 12}" text-anchor="middle" fill="#666">${at}×</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="12" y="18" font-size="14" font-weight="bold">Times better than each peer (right of 1×: Waymark is ahead)</text>`,
    `<text x="12" y="34" fill="#666">${escaped(machine)}; marks: floor and goal; grey: the runs differed too much</text>`,
    ...grid,
    ...bars.map(bar),
    '</svg>\n',
  ].join('\n');
}

function bar({ target, measured, verdict, steady }: Judged, index: number): string {
  const better = (ratio: number): number => (target.better === 'more' ? ratio : 1 / ratio);
  const y = top + index * rowHeight;
  const [zero, end] = [place(1), place(better(measured))];
  const colours = { goal: '#2a7d4f', floor: '#7fb77e', 'below floor': '#c8553d' };
  const colour = steady ? colours[verdict] : '#bbb';
  const rect = `<rect x="${Math.min(zero, end)}" y="${y}" width="${Math.max(1, Math.abs(end - zero))}" height="14" fill="${colour}"/>`;
  const ticks = [target.floor, target.goal].map((at) => {
    const x = place(better(at));
    return `<line x1="${x}" y1="${y - 1}" x2="${x}" y2="${y + 15}" stroke="#222" stroke-width="1.5"/>`;
  });
  const label = `<text x="12" y="${y + 11}">${escaped(`${target.line} : ${target.peer ?? ''}`)}</text>`;
  const value = `<text x="${Math.max(zero, end) + 5}" y="${y + 11}">${figure(better(measured))}×</text>`;
  return [label, rect, ...ticks, value].join('');
}

function place(ratio: number): number {
  const clipped = Math.min(most, Math.max(least, ratio));
  return Math.round(labelWidth + (plotWidth * Math.log(clipped / least)) / Math.log(most / least));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

await main();
