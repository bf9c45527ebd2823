import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { onTheme } from './theme.js';

export interface Series {
  readonly label: string;
  readonly values: readonly (number | null)[];
}

const height = 170;
const colours = ['--accent', '--warn'] as const;

/** A few lines over the last minutes. For who does not see it, the caption tells what it shows now. */
export function Chart(props: {
  readonly title: string;
  /** Unix time, in s. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly caption: string;
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const labels = props.series.map(({ label }) => label).join();
  const data = [props.times, ...props.series.map(({ values }) => values)] as uPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(labels.split(','), element), latest.current, element);
    };
    draw();
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: Math.max(element.clientWidth, 100), height }),
    );
    resized.observe(element);
    const deaf = onTheme(draw);
    return () => {
      resized.disconnect();
      deaf();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [labels]);
  useEffect(() => plot.current?.setData(data));
  return (
    <section aria-label={props.title}>
      <h2>{props.title}</h2>
      <div class="chart" ref={place} role="img" aria-label={`${props.title}: ${props.caption}`} />
    </section>
  );
}

function optionsOf(labels: readonly string[], element: HTMLElement): uPlot.Options {
  const colour = (name: string): string =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--soft'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
  };
  return {
    width: Math.max(element.clientWidth, 100),
    height,
    cursor: { show: false },
    legend: { show: labels.length > 1, live: false },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [axis, { ...axis, size: 56 }],
    series: [
      {},
      ...labels.map((label, i) => ({
        label,
        stroke: colour(colours[i % colours.length] ?? '--accent'),
        width: 2,
        points: { show: false },
      })),
    ],
  };
}
