import { afterAll, assert, beforeAll, expect, test, vi } from 'vitest';
import { codecs, open, type Space } from 'waymark';
import { createMemoryEngine } from 'waymark/engine';
import { type RunningServer, startServer } from '@waymark/server';

/**
 * Every route that there is, as the server's own document names them, asked by one who may do everything at `/a` and nothing beside it, and by one who shows nothing: no
 * answer tells anything of what stands at `/hidden`. A route that is added is asked, too.
 */

const canary = 'canary-7c1f';
const hidden = `/hidden/${canary}`;
const absent = '/hidden/absent';
const paths = [
  '',
  absent,
  '/hidden',
  hidden,
  `${hidden}/below`,
  '/a/../hidden',
  '/a%2F..%2Fhidden',
  '/hidde',
];
const actions = ['read', 'watch', 'write', 'lock', 'lead', 'send', 'watchers'];

interface Route {
  readonly method: string;
  readonly url: string;
  /** The least that its schema takes. */
  readonly body: unknown;
}

/** Of a JSON schema, as far as the server's document uses them. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Operation {
  readonly requestBody?: { readonly content?: Record<string, { readonly schema?: Schema }> };
}

let server: RunningServer;
let root = '';
let token = '';
let at = '';
let routes: Route[] = [];
const spaces: Space[] = [];

interface Asking {
  readonly token?: string | undefined;
  readonly method?: string;
  readonly body?: unknown;
}

async function ask(path: string, { token: shown, method = 'GET', body }: Asking = {}) {
  const headers = {
    ...(shown !== undefined && { authorization: `Bearer ${shown}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
  };
  const response = await fetch(`http://${at}${path}`, {
    ...{ method, headers, signal: AbortSignal.timeout(5_000) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text().catch(() => '') };
}

beforeAll(async () => {
  const engine = createMemoryEngine();
  server = await startServer({
    engine,
    listen: ['127.0.0.1:0'],
    logLevel: 'silent',
    audit: () => {},
  });
  at = server.addresses[0] as string;
  const { text } = await ask('/openapi.json');
  const document = JSON.parse(text) as { paths: Record<string, Record<string, Operation>> };
  routes = Object.entries(document.paths).flatMap(([url, of]) =>
    Object.entries(of).map(([method, { requestBody }]) => {
      const schema = requestBody?.content?.['application/json']?.schema;
      return { url, method: method.toUpperCase(), body: schema && leastOf(schema) };
    }),
  );
  const on = await ask('/v1/access/on', { method: 'POST' });
  root = (JSON.parse(on.text) as { token: string }).token;
  const rule = { actions, namespace: 'default', path: '/a' };
  await ask('/v1/access/roles/a/rules', { method: 'POST', token: root, body: rule });
  const wish = { user: 'a', roles: ['a'] };
  const made = await ask('/v1/access/tokens', { method: 'POST', token: root, body: wish });
  token = (JSON.parse(made.text) as { token: string }).token;
  await hide();
});

afterAll(async () => {
  for (const space of spaces) await space.close();
  await server.close();
});

function leastOf({ type, anyOf, required = [], properties = {}, ...rest }: Schema): unknown {
  if (rest.enum !== undefined) return rest.enum[0];
  if (anyOf?.[0] !== undefined) return leastOf(anyOf[0]);
  if (type === 'integer' || type === 'number') return Math.max(rest.minimum ?? 0, 5_000);
  if (type === 'boolean') return true;
  if (type === 'array') return [];
  if (type !== 'object') return 'x';
  // A lease of its own, where one is taken.
  const asked = 'ttlMs' in properties ? [...required, 'ttlMs'] : required;
  return Object.fromEntries(asked.map((name) => [name, leastOf(properties[name] ?? {})]));
}

/** Something of every kind, each named after the canary. */
async function hide(): Promise<void> {
  const space = await open(`http://${at}`, { token: root, owner: canary });
  const other = await open(`http://${at}`, { token: root, owner: canary });
  spaces.push(space, other);
  const ns = space.namespace('default', { codec: codecs.text });
  await ns.put(hidden, canary);
  await ns.put('/a/open', 'seen');
  await ns.lock(hidden);
  await ns.election(hidden).campaign();
  await ns.semaphore(hidden, { limit: 1 }).acquire();
  await ns.names(hidden).claim(canary);
  await ns.log(hidden).append(canary);
  await ns.counter(hidden).add(7);
  await ns.members(hidden).join({ id: canary, meta: { canary } });
  await ns.once(hidden, async () => canary);
  await space.namespace(canary, { codec: codecs.text }).put('/x', canary);
  // Two that wait for each other, one of them in the open.
  const [here, there] = [ns.semaphore('/a/permit', { limit: 1 }), other.namespace('default')];
  await here.acquire();
  await there.lock(`${hidden}/cycle`);
  void ns.lock(`${hidden}/cycle`).catch(() => undefined);
  void there
    .semaphore('/a/permit', { limit: 1 })
    .acquire()
    .catch(() => undefined);
  await vi.waitFor(async () => assert((await here.explain()).cycle.length > 0), 5_000);
}

/** All that stands below the hidden path, as the one who may do everything sees it. */
async function present(): Promise<unknown[]> {
  const kinds = ['keys', 'locks', 'elections', 'semaphores', 'names', 'logs', 'counters', 'once'];
  const of = kinds.map(async (kind) => {
    const { status, text } = await ask(`/v1/ns/default/${kind}${hidden}`, { token: root });
    return [kind, status, text.replaceAll(/"revision":\d+/g, '')];
  });
  return await Promise.all(of);
}

function urlsOf({ url }: Route): string[] {
  const filled = url
    .replace('{ns}', 'default')
    .replace('{name}', canary)
    .replace('{id}', '1')
    .replace(/\{[a-z]+\}/gi, 'x');
  const tails = filled.endsWith('*')
    ? paths.map((path) => filled.replace(/\/\*$/, path))
    : [filled];
  const queries = ['', '?tree=1', '?of=locks', '?of=logs', '?tree=1&wait=0s&after=1', '?limit=5'];
  return tails.flatMap((tail) => queries.map((query) => tail + query));
}

for (const who of ['one with a place of its own', 'nobody']) {
  test(`[A4.7] no route tells ${who} of what is hidden`, async () => {
    const leaks: string[] = [];
    const statuses = new Map<string, number>();
    const gets = routes.filter(({ method, url }) => method === 'GET' && !url.includes('/watch'));
    expect(gets.length).toBeGreaterThan(30);
    const shown = who === 'nobody' ? undefined : token;
    for (const route of gets) {
      for (const url of urlsOf(route)) {
        const { status, text } = await ask(url, { token: shown }).catch(() => ({
          status: 0,
          text: '',
        }));
        statuses.set(url, status);
        const told = text
          .replaceAll(decodeURIComponent(url), '')
          .replaceAll(hidden, (found) => (url.includes(canary) ? '' : found));
        if (told.includes(canary)) leaks.push(`${status} GET ${url}: ${told.slice(0, 200)}`);
      }
    }
    expect(leaks).toEqual([]);
    expect(statuses.size).toBeGreaterThan(300);
    const told = [...statuses].filter(
      ([url, status]) =>
        url.includes(absent) && statuses.get(url.replace(absent, hidden)) !== status,
    );
    expect(told).toEqual([]);
  });
}

test('[A4.1] no route changes what is hidden, and none answers as if it had', async () => {
  // A transaction names its paths in the body: those are asked below.
  const changing = routes.filter(
    ({ method, url }) => method !== 'GET' && url.includes('{ns}') && !url.endsWith('/txn'),
  );
  expect(changing.length).toBeGreaterThan(25);
  const before = await present();
  const done: string[] = [];
  const refused = { denied: 0, otherwise: 0 };
  for (const route of changing) {
    for (const url of urlsOf(route)) {
      const { status } = await ask(url, { token, method: route.method, body: route.body });
      if (status < 400) done.push(`${status} ${route.method} ${url}`);
      if (status === 403) refused.denied++;
      else refused.otherwise++;
    }
  }
  expect(done).toEqual([]);
  const open = { put: '/a/open', value: 'seen' };
  for (const body of [
    { apply: [open, { put: hidden, value: '' }] },
    { apply: [open, { delete: '/', tree: true }] },
    { apply: [open], otherwise: [{ get: hidden }] },
    { apply: [open], when: [{ path: hidden, exists: false }] },
  ]) {
    const { status, text } = await ask('/v1/ns/default/txn', { token, method: 'POST', body });
    expect([status, text.includes('"holder"')]).toEqual([403, false]);
  }
  expect(refused.denied).toBeGreaterThan(refused.otherwise);
  expect(await present()).toEqual(before);
});

test('[A3.4] what is open tells that it is well, and no counts', async () => {
  expect(JSON.parse((await ask('/readyz')).text)).toEqual({ ok: true });
  expect(JSON.parse((await ask('/healthz')).text)).toEqual({ ok: true });
  const seen = JSON.parse((await ask('/readyz', { token: root })).text) as { keys: number };
  expect(seen.keys).toBeGreaterThan(0);
});

test('[A4.5] who waits for whom is told of a semaphore in the open, without paths that are not', async () => {
  const { text } = await ask('/v1/ns/default/semaphores/a/permit', { token });
  expect(text).toContain('/a/permit');
  expect(text).not.toContain('/hidden');
});
