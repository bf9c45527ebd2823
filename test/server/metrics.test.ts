import { expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { serve } from './served.js';

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly type: string;
  readonly samples: Sample[];
}

test('[metrics] the text is strict Prometheus, histograms add up, and every name is documented', async () => {
  const served = await serve();
  await served.call('PUT', '/v1/ns/a/keys/x', { body: '1' });
  await served.call('GET', '/v1/ns/a/keys/none');
  await served.call('GET', '/v1/ns/a/keys/"quoted\\');
  const { text, headers } = await served.call('GET', '/metrics');
  expect(headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const families = parse(text);
  for (const [name, { type, samples }] of families)
    if (type === 'histogram') checkHistogram(name, samples);
  expect(families.get('waymark_revision')?.samples).toEqual([
    { name: 'waymark_revision', labels: {}, value: 1 },
  ]);
  expect(families.get('waymark_http_errors_total')?.samples).toContainEqual(
    expect.objectContaining({ labels: { code: 'not_found' } }),
  );
  const documented = await readFile(
    new URL('../../docs/reference/metrics.md', import.meta.url),
    'utf8',
  );
  for (const name of families.keys())
    expect(documented, `${name} is not documented`).toContain(`\`${name}\``);
  await served[Symbol.asyncDispose]();
});

/** Strict: HELP and TYPE once, before the samples of their family; no sample twice; a newline at the end. */
function parse(text: string): Map<string, Family> {
  expect(text.endsWith('\n')).toBe(true);
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let helped = '';
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.+)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      helped = comment[2] ?? '';
      continue;
    }
    if (comment?.[1] === 'TYPE') {
      current = comment[2] ?? '';
      expect(helped).toBe(current);
      expect(families.has(current), `${current} stands twice`).toBe(false);
      expect(['counter', 'gauge', 'histogram']).toContain(comment[3]);
      families.set(current, { type: comment[3] ?? '', samples: [] });
      continue;
    }
    const sample = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line);
    expect(sample, line).not.toBeNull();
    expect(seen.has(line.slice(0, line.lastIndexOf(' '))), `${line} stands twice`).toBe(false);
    seen.add(line.slice(0, line.lastIndexOf(' ')));
    const name = sample?.[1] ?? '';
    expect(name.replace(/_(bucket|sum|count)$/, '') === current || name === current, line).toBe(
      true,
    );
    families
      .get(current)
      ?.samples.push({ name, labels: labels(sample?.[2] ?? ''), value: Number(sample?.[3]) });
  }
  return families;
}

function labels(text: string): Record<string, string> {
  const found = [...text.matchAll(/([a-z_]+)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/g)];
  expect(found.map((match) => match[0]).join('')).toBe(text);
  return Object.fromEntries(found.map((match) => [match[1] ?? '', match[2] ?? '']));
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const key = (labelled: Record<string, string>): string =>
    JSON.stringify({ ...labelled, le: undefined });
  const counts = samples.filter((sample) => sample.name === `${name}_count`);
  expect(counts.length).toBeGreaterThan(0);
  for (const count of counts) {
    const buckets = samples.filter(
      (one) => one.name === `${name}_bucket` && key(one.labels) === key(count.labels),
    );
    const values = buckets.map((bucket) => bucket.value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value: count.value });
  }
}
