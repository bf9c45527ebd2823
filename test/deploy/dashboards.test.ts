import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { service } from '#services';
import { parse } from 'yaml';
import { Command } from '../support/command.js';
import { serve } from '../server/served.js';

const folder = new URL('../../deploy/', import.meta.url);
const alerts = new URL('prometheus/alerts.yaml', folder);

interface Rules {
  readonly groups: readonly { readonly rules: readonly { alert: string; expr: string }[] }[];
}

interface Panel {
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query: string }[] };
}

const rules = (parse(readFileSync(alerts, 'utf8')) as Rules).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(
  readFileSync(new URL('grafana/waymark.json', folder), 'utf8'),
) as Dashboard;
const shown = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Names of metrics in an expression: what stands outside of quotes and begins as ours do. */
function namesIn(expr: string): string[] {
  return [...expr.replaceAll(/"[^"]*"/g, '').matchAll(/\b(?:waymark|process|nodejs)_\w+/g)].map(
    ([name]) => name,
  );
}

async function served(): Promise<Map<string, string>> {
  await using server = await serve();
  const { text } = await server.call('GET', '/metrics');
  return new Map(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  );
}

test('[deploy] each metric that the dashboard and the alerts name is served, with the series they take of it', async () => {
  const known = await served();
  const asked = [...rules.map(({ expr }) => expr), ...shown];
  asked.push(...dashboard.templating.list.map(({ query }) => query));
  const missing = asked.flatMap(namesIn).filter((name) => {
    const family = name.replace(/_(bucket|sum|count)$/, '');
    return known.get(name) !== undefined
      ? known.get(name) === 'histogram'
      : known.get(family) !== 'histogram';
  });
  expect(missing).toEqual([]);
  expect(asked.flatMap(namesIn).length).toBeGreaterThan(60);
});

test('[deploy] promtool takes the alert rules', async () => {
  const { path } = service('prometheus');
  const { code, out, err } = await new Command(path, ['check', 'rules', alerts.pathname]).done;
  expect(code, out + err).toBe(0);
  expect(out).toContain(`${rules.length} rules found`);
});

test('[deploy] promtool reads each expression of the dashboard', async () => {
  const asRules = shown.map((expr, i) => ({
    record: `shown:${i}`,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*'),
  }));
  const scratch = mkdtempSync(join(tmpdir(), 'waymark-rules-'));
  const file = join(scratch, 'shown.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'shown', rules: asRules }] }));
  const { path } = service('prometheus');
  const { code, out, err } = await new Command(path, ['check', 'rules', file]).done;
  rmSync(scratch, { recursive: true });
  expect(code, out + err).toBe(0);
});

test('[deploy] panels of the dashboard lie beside each other', () => {
  const places = dashboard.panels.map(({ gridPos: { x, y } }) => `${x},${y}`);
  expect(new Set(places).size).toBe(places.length);
  for (const { title, gridPos } of dashboard.panels)
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
});
