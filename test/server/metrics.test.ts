import { expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { open } from 'waymark';
import { service } from '#services';
import { Command } from '../support/command.js';
import { serve } from './served.js';

const root = new URL('../../', import.meta.url);

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly type: string;
  readonly samples: Sample[];
}

test('[metrics] the text is strict Prometheus, and histograms add up', async () => {
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
  await served[Symbol.asyncDispose]();
});

test('[metrics] every name is documented with its type, and nothing else is', async () => {
  await using served = await serve();
  const families = parse((await served.call('GET', '/metrics')).text);
  const page = await readFile(new URL('docs/reference/metrics.md', root), 'utf8');
  const documented = new Map<string, string>();
  for (const line of page.split('\n')) {
    const [, names = '', type = ''] = line.split('|').map((cell) => cell.trim());
    for (const [, name = ''] of names.matchAll(/`(\w+)`/g)) documented.set(name, type);
  }
  const told = new Map([...families].map(([name, { type }]) => [name, type]));
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(told));
});

test('[metrics] promtool finds nothing to say against them', async () => {
  await using served = await serve();
  await using space = await open(served.base);
  const ns = space.namespace('a');
  await ns.put('/x', 1);
  await (await ns.lock('/l')).release();
  await ns.counter('/c').add(1);
  await served.call('GET', '/v1/ns/a/keys/none');
  const { text } = await served.call('GET', '/metrics');
  const check = new Command(service('prometheus').path, ['check', 'metrics'], { input: text });
  expect(await check.done).toEqual({ code: 0, out: '', err: '' });
});

test('[metrics] what clients do is counted by subsystem', async () => {
  await using served = await serve();
  await using space = await open(served.base);
  const ns = space.namespace('a');
  await ns.put('/x', 1);
  const held = await ns.lock('/l');
  expect(await ns.tryLock('/l')).toBeNull();
  await held.release();
  await ns.counter('/c').add(1);
  await served.call('POST', '/v3/kv/range', { body: { key: 'eA==' } });
  await served.call('POST', '/v3/lease/revoke', { body: { ID: '77' } });
  const families = parse((await served.call('GET', '/metrics')).text);
  const value = (name: string, wanted: Record<string, string>): number | undefined =>
    families
      .get(name.replace(/_count$/, ''))
      ?.samples.find((one) => one.name === name && matches(one.labels, wanted))?.value;
  expect(value('waymark_engine_call_seconds_count', { call: 'commit' })).toBeGreaterThan(2);
  expect(value('waymark_lock_requests_total', { outcome: 'granted' })).toBe(1);
  expect(value('waymark_lock_requests_total', { outcome: 'taken' })).toBe(1);
  expect(value('waymark_lock_releases_total', {})).toBe(1);
  expect(value('waymark_lock_waiters', {})).toBe(0);
  const added = { recipe: 'counter', call: 'add', outcome: 'ok' };
  expect(value('waymark_recipe_calls_total', added)).toBe(1);
  expect(value('waymark_recipe_call_seconds_count', { recipe: 'counter' })).toBe(1);
  expect(value('waymark_binary_calls_total', { call: 'acquire' })).toBe(2);
  const range = { service: 'KV', method: 'Range' };
  expect(value('waymark_etcd_call_seconds_count', range)).toBe(1);
  expect(value('waymark_etcd_calls_total', { ...range, code: 'OK' })).toBe(1);
  const revoke = { service: 'Lease', method: 'LeaseRevoke', code: 'NOT_FOUND' };
  expect(value('waymark_etcd_calls_total', revoke)).toBe(1);
  expect(value('waymark_ready_check', { check: 'writable' })).toBe(1);
});

test('[metrics] a watch is open until it is left, also by a client that is gone', async () => {
  await using served = await serve();
  const watches = async (): Promise<number | undefined> =>
    parse((await served.call('GET', '/metrics')).text).get('waymark_engine_watches')?.samples[0]
      ?.value;
  const before = await watches();
  {
    await using space = await open(served.base);
    const ns = space.namespace('a');
    await ns.put('/y', 1);
    const events = ns.watch('/y')[Symbol.asyncIterator]();
    await events.next();
    const changed = events.next();
    await ns.put('/y', 2);
    await changed;
    expect(await watches()).toBe((before ?? 0) + 1);
  }
  while ((await watches()) !== before) await new Promise((resolve) => setImmediate(resolve));
}, 20_000);

function matches(labels: Readonly<Record<string, string>>, wanted: object): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}

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
  for (const count of counts) {
    const buckets = samples.filter(
      (one) => one.name === `${name}_bucket` && key(one.labels) === key(count.labels),
    );
    const values = buckets.map((bucket) => bucket.value);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value: count.value });
  }
}
