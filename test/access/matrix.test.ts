import { Agent, request as ask } from 'node:http';
import {
  connectHost,
  createLocalHost,
  createMemoryEngine,
  type Host,
  isWaymarkError,
  systemClock,
  systemRandom,
  textToBytes,
} from 'waymark/engine';
import { type RunningServer, startServer } from '@waymark/server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Access } from '../../packages/server/src/access/access.js';
import { Caller } from '../../packages/server/src/access/caller.js';
import { guardHost } from '../../packages/server/src/access/guarded-host.js';
import { permits } from '../../packages/server/src/access/permit-txn.js';
import { sized } from '../faults/random.js';
import { EtcdApi } from '../etcd/client.js';
import {
  crookedUrls,
  type FaceOperation,
  gatewayOperations,
  restOperations,
} from './face-operations.js';
import { grpcOperations } from './grpc-operations.js';
import { type HostGround, type HostOperation, hostOperations } from './host-operations.js';
import { mayAll, type Need } from './oracle.js';
import { bases, canary, namespace, paths, type Role, roles, valueOf } from './world.js';

/** Every operation on every path for every role, over each face, beside an oracle that works on text. */

const engine = createMemoryEngine({ clock: systemClock, random: systemRandom });
const tokens = new Map<string, string>();
let server: RunningServer;
let url: string;
let ground: HostGround;
let root: Host;
let cases = 0;

beforeAll(async () => {
  let first = '';
  server = await startServer({
    engine,
    listen: ['127.0.0.1:0'],
    access: true,
    firstToken: (token) => (first = token),
    audit: () => {},
    logLevel: 'silent',
    rate: false,
    watchers: false,
    stash: false,
  });
  url = `http://${server.addresses[0]}`;
  root = await connectHost(url, { token: first });
  for (const base of [...bases, '/secret/deep/leased']) {
    await root.commit(namespace, {
      apply: [
        { type: 'put', key: `d${textToBytes(base)}`, value: textToBytes(valueOf(base)) },
        { type: 'put', key: `d${textToBytes(`${base}/kept`)}`, value: 'canary' },
      ],
    });
  }
  const { revision: past } = await root.status();
  // Nobody's: it is judged by what it keeps alone.
  const { id: foreign } = await engine.grant(600_000);
  const key = `d${textToBytes('/secret/deep/leased')}`;
  await root.commit(namespace, { apply: [{ type: 'put', key, value: 'canary', lease: foreign }] });
  ground = { past: past - 2, foreign };
  const api = async (method: string, path: string, body: object): Promise<unknown> => {
    const headers = { authorization: `Bearer ${first}`, 'content-type': 'application/json' };
    const asked = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
    return await asked.json();
  };
  for (const { user, rules } of roles) {
    for (const { actions, path } of rules) {
      const role = `/v1/access/roles/${encodeURIComponent(user)}/rules`;
      await api('POST', role, { actions, namespace, path });
    }
    const wish = { user, roles: rules.length === 0 ? [] : [user] };
    const made = (await api('POST', '/v1/access/tokens', wish)) as { token: string };
    tokens.set(user, made.token);
  }
}, 60_000);

afterAll(async () => {
  await root[Symbol.asyncDispose]();
  await server.close();
  expect(cases).toBeGreaterThan(50_000);
});

/** What an answer came to: refused with a code, or told something. */
interface Answer {
  readonly refused: string | null;
  readonly text: string;
}

interface Case {
  readonly role: Role;
  readonly path: string;
  readonly name: string;
  readonly needs: readonly Need[];
  readonly answer: Answer;
}

/** Values that somebody was told who may not have them, whatever was asked. */
function strays(role: Role, text: string): string[] {
  const found = [...text.matchAll(/canary-([0-9a-f]+)-value/g)];
  const at = found.map(([, hex = '']) => Buffer.from(hex, 'hex').toString());
  return at.filter((path) => !mayAll(role.rules, [{ any: ['read', 'watch'], path }]));
}

/** @returns what is wrong with it, null: nothing */
function judge({ role, path, name, needs, answer }: Case): string | null {
  cases++;
  const may = mayAll(role.rules, needs);
  const about = `${JSON.stringify(role.rules)}: ${name} of ${path}: ${answer.refused ?? 'done'} ${answer.text.slice(0, 200)}`;
  if (strays(role, answer.text).length > 0) return `told a value: ${about}`;
  if (may) return answer.refused === null ? null : `refused what is permitted: ${about}`;
  if (answer.refused === null) return `did what is not permitted: ${about}`;
  const told = answer.text.replaceAll(path, '');
  return canary.test(told) ? `told what nobody may know: ${about}` : null;
}

const refusals = new Set(['denied', 'unauthenticated']);

async function answerOf(call: Promise<unknown>, hidden: boolean): Promise<Answer> {
  try {
    return { refused: null, text: JSON.stringify(await call) ?? '' };
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    const text = JSON.stringify({ ...error.facts, message: error.message });
    const refused = refusals.has(error.code) || (hidden && error.code === 'not_found');
    return { refused: refused ? error.code : null, text };
  }
}

/** What is there and what is not is refused in the same words. */
function sameWords(all: readonly Case[]): string[] {
  const byName = new Map(all.map((one) => [`${one.role.user} ${one.name} ${one.path}`, one]));
  return all.flatMap((there) => {
    const { role, name, path, answer } = there;
    const none = `${path}/none`;
    const absent = byName.get(`${role.user} ${name} ${none}`);
    if (absent === undefined || answer.refused === null || absent.answer.refused === null)
      return [];
    const words = ({ refused, text }: Answer): string =>
      `${refused} ${text.replaceAll(none, 'PATH').replaceAll(path, 'PATH')}`;
    const [one, other] = [words(answer), words(absent.answer)];
    return one === other ? [] : [`other words: ${one} | ${other}`];
  });
}

async function hostCases(
  hostOf: (role: Role) => Promise<Host>,
  operations: readonly HostOperation[],
): Promise<Case[]> {
  const all: Case[] = [];
  for (const role of roles) {
    const host = await hostOf(role);
    for (const { name, needs, run } of operations) {
      const answers = paths.map(async (path): Promise<Case> => {
        const answer = await answerOf(
          Promise.resolve().then(() => run(host, path, ground)),
          name.includes('lease'),
        );
        return { role, path, name, needs: needs(path), answer };
      });
      all.push(...(await Promise.all(answers)));
    }
    await host[Symbol.asyncDispose]();
  }
  return all;
}

function faultsOf(all: readonly Case[]): string[] {
  return [...all.map(judge).filter((fault) => fault !== null), ...sameWords(all)];
}

test('[A4.1] [A4.2] [A4.3] [A4.4] the binary protocol does what the oracle permits, and tells nothing else', async () => {
  const connect = (role: Role): Promise<Host> =>
    connectHost(url, { token: tokens.get(role.user) as string });
  const all = await hostCases(connect, hostOperations);
  expect(faultsOf(all).slice(0, 10)).toEqual([]);
  expect(all.some(({ answer }) => answer.refused === null)).toBe(true);
}, 120_000);

/** Of the faces that take longer, in the short form. */
const somePaths = paths.slice(0, sized(20, paths.length));
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

/** As it stands: fetch would straighten the URL. */
function requestOf(
  role: Role,
  { method, url: path, body }: { method: string; url: string; body?: string },
): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname, port } = new URL(url);
  const json = body?.startsWith('{') === true;
  const headers = {
    authorization: `Bearer ${tokens.get(role.user) as string}`,
    ...(json && { 'content-type': 'application/json' }),
  };
  return new Promise((resolve, reject) => {
    const options = { agent, hostname, port, method, path, headers };
    const asked = ask(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.once('error', reject);
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

async function faceCases(operations: readonly FaceOperation[]): Promise<Case[]> {
  const all: Case[] = [];
  for (const role of roles) {
    for (const { name, needs, request } of operations) {
      const answers = somePaths.map(async (path): Promise<Case> => {
        const { status, text } = await requestOf(role, request(path));
        const refused = status === 401 || status === 403 ? String(status) : null;
        const answer = { refused, text: decoded(text) };
        return { role, path, name, needs: needs(path), answer };
      });
      all.push(...(await Promise.all(answers)));
    }
  }
  return all;
}

/** The gateway's bytes are base64: what hides in them is looked for as well. Each request has an id of its own, which tells nothing. */
function decoded(answer: string): string {
  const text = answer.replace(/"requestId":"[^"]*"/, '');
  const found = [...text.matchAll(/"([A-Za-z0-9+/]{8,}={0,2})"/g)];
  return text + found.map(([, one = '']) => Buffer.from(one, 'base64').toString()).join(' ');
}

test('[A4.1] [A4.2] [A4.3] REST does what the oracle permits, and tells nothing else', async () => {
  expect(faultsOf(await faceCases(restOperations)).slice(0, 10)).toEqual([]);
}, 120_000);

test("[A1.2] [A4.2] [A4.3] etcd's JSON gateway does", async () => {
  expect(faultsOf(await faceCases(gatewayOperations)).slice(0, 10)).toEqual([]);
}, 120_000);

test("[A1.2] [A4.2] [A4.3] etcd's gRPC does", async () => {
  const all: Case[] = [];
  for (const role of roles) {
    using api = new EtcdApi(url.slice('http://'.length), {
      token: tokens.get(role.user) as string,
    });
    for (const { name, needs, run } of grpcOperations) {
      const answers = somePaths.map(async (path): Promise<Case> => {
        const answer = await run(api, path).then(
          (told) => ({ refused: null, text: told }),
          ({ code, details }: { code: number; details: string }) => ({
            refused: code === 7 || code === 16 ? String(code) : null,
            text: details,
          }),
        );
        return { role, path, name, needs: needs(path), answer };
      });
      all.push(...(await Promise.all(answers)));
    }
  }
  expect(faultsOf(all).slice(0, 10)).toEqual([]);
}, 120_000);

test('[A4.1] however a URL is written, it tells nobody what the role may not read', async () => {
  const found: string[] = [];
  for (const [n, role] of roles.entries()) {
    if (n % sized(2, 1) > 0) continue;
    for (const crooked of crookedUrls) {
      for (const collection of ['keys', 'children', 'leaves', 'locks', 'nearest']) {
        const path = `/v1/ns/${namespace}/${collection}${crooked}`;
        const { status, text } = await requestOf(role, { method: 'GET', url: path });
        cases++;
        if (status >= 500 || strays(role, text).length > 0)
          found.push(`${role.user} ${path} ${text}`);
      }
    }
  }
  expect(found).toEqual([]);
}, 120_000);

test('the matrix sees a watch that is authorised by its first key only', async () => {
  const { demandKeys } = Caller.prototype;
  Caller.prototype.demandKeys = function (action, inside, ranges) {
    demandKeys.call(this, action, inside, action === 'watch' ? ranges.slice(0, 1) : ranges);
  };
  try {
    expect(await faultsHere('watch of two')).toMatch(/did what is not permitted|told a value/);
  } finally {
    Caller.prototype.demandKeys = demandKeys;
  }
  expect(await faultsHere('watch of two')).toBe('');
}, 60_000);

test('the matrix sees a nested transaction that is not looked into', async () => {
  const { nested } = permits;
  permits.nested = () => {};
  try {
    expect(await faultsHere('read in a nested one')).toMatch(
      /did what is not permitted|told a value/,
    );
  } finally {
    permits.nested = nested;
  }
  expect(await faultsHere('read in a nested one')).toBe('');
}, 60_000);

/** One operation, on hosts that are guarded in this process. */
async function faultsHere(name: string): Promise<string> {
  await using access = await Access.open({ engine, clock: systemClock, random: systemRandom });
  await using host = createLocalHost(engine, { clock: systemClock, random: systemRandom });
  const hostOf = async ({ user }: Role): Promise<Host> => {
    const shown = { token: tokens.get(user) as string };
    return guardHost(host, new Caller(access, shown, { face: 'test', from: '' }));
  };
  const all = await hostCases(
    hostOf,
    hostOperations.filter((one) => one.name === name),
  );
  return faultsOf(all).join('\n');
}
