import {
  type Batch,
  createMemoryEngine,
  type Engine,
  ForwardingEngine,
  type KeyRange,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { afterEach, expect, test } from 'vitest';
import { Access } from './access.js';
import { AccessEdits } from './access-edits.js';
import { AccessLayout, type AccessState } from './access-state.js';
import type { Edit } from './access-store.js';
import { Caller } from './caller.js';
import { accessLimits } from './limits.js';
import { Passwords } from './passwords.js';

const prefix = 'w/test/auth/';
const random = systemRandom;
const edits = new AccessEdits(new AccessLayout(prefix));
const opened: AsyncDisposable[] = [];

async function open(engine: Engine, clock = systemClock): Promise<Access> {
  const access = await Access.open({ engine, clock, random, prefix });
  opened.push(access);
  return access;
}

afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

function change(access: Access, plan: (state: AccessState) => Edit): Promise<number> {
  return access.store.change(plan);
}

test('a change is in force where it was made once it is made, and on other servers when they hear of it', async () => {
  const engine = createMemoryEngine();
  const [here, there] = [await open(engine), await open(engine)];
  await change(here, (state) => edits.addUser(state, 'zoë/𝒛', 'h'));
  expect(here.state.users.get('zoë/𝒛')?.password).toBe('h');
  await change(there, (state) => edits.addRole(state, '7:a/b'));
  await change(there, (state) => edits.grantRole(state, 'zoë/𝒛', '7:a/b'));
  await change(here, (state) => edits.addUser(state, 'next', 'h'));
  expect(here.state.rolesOf('zoë/𝒛')).toEqual(['7:a/b']);
  const reopened = await open(engine);
  expect([...reopened.state.users.keys()]).toEqual(['next', 'zoë/𝒛']);
  expect(reopened.state.rolesOf('zoë/𝒛')).toEqual(['7:a/b']);
  expect(reopened.state.count).toBe(5);
});

test('servers that change the same at the same time lose nothing, and decide on what is there', async () => {
  const engine = createMemoryEngine();
  const servers = [await open(engine), await open(engine), await open(engine)];
  await change(servers[0] as Access, (state) => edits.addRole(state, 'r'));
  const keys = Array.from({ length: 30 }, (_, n) => `k${String(n).padStart(2, '0')}`);
  const made = await Promise.allSettled([
    ...keys.map((key, n) => {
      const grant = { range: { key }, actions: ['read'] } as const;
      return change(servers[n % 3] as Access, (state) => edits.addGrant(state, 'r', grant));
    }),
    ...servers.map((server) => change(server, (state) => edits.addUser(state, 'once', 'h'))),
  ]);
  expect(made.filter(({ status }) => status === 'rejected')).toHaveLength(2);
  const { state } = await open(engine);
  expect(state.roles.get('r')?.grants.map(({ range }) => range.key)).toEqual(keys);
  expect(state.count).toBe(1 + 1 + keys.length + 1);
});

test('nobody deletes the root user while another server switches control on', async () => {
  const engine = createMemoryEngine();
  const [here, there] = [await open(engine), await open(engine)];
  await change(here, (state) => edits.addUser(state, 'root', 'h'));
  await change(here, (state) => edits.grantRole(state, 'root', 'root'));
  await change(there, (state) => edits.addRole(state, 'r'));
  const [on, gone] = await Promise.allSettled([
    change(here, (state) => edits.enable(state)),
    change(there, (state) => edits.deleteUser(state, 'root')),
  ]);
  expect([on.status, gone.status].toSorted()).toEqual(['fulfilled', 'rejected']);
  const { state } = await open(engine);
  expect(state.enabled).toBe(state.users.has('root'));
});

/** Loses its watches when told. */
class Breaking extends ForwardingEngine {
  breakWatches = (): void => {};

  override async *watch(
    ranges: readonly KeyRange[],
    options: Parameters<Engine['watch']>[1] = {},
  ): AsyncIterable<Batch> {
    const broken = new AbortController();
    this.breakWatches = () => broken.abort(new Error('the watch is lost'));
    const signals = [broken.signal, ...(options.signal === undefined ? [] : [options.signal])];
    yield* super.watch(ranges, { ...options, signal: AbortSignal.any(signals) });
  }
}

test('a watch that is lost is made up for by reading all again', async () => {
  const memory = createMemoryEngine();
  const clock = new FakeClock();
  const breaking = new Breaking(memory);
  const [here, there] = [await open(breaking, clock), await open(memory)];
  breaking.breakWatches();
  await change(there, (state) => edits.addUser(state, 'bob', 'h'));
  await change(there, (state) => edits.deleteUser(state, 'bob'));
  await change(there, (state) => edits.addUser(state, 'carol', 'h'));
  const { revision } = await memory.status();
  // What happened meanwhile is not told any more: what is there now is.
  await memory.compact(revision);
  while (here.state.revision < revision) {
    clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect([...here.state.users.keys()]).toEqual(['carol']);
  await change(here, (state) => edits.addUser(state, 'dave', 'h'));
  expect(here.state.users.has('dave')).toBe(true);
});

/** Tells of changes when it is let. */
class Late extends ForwardingEngine {
  #tell = (): void => {};
  readonly #told = new Promise<void>((resolve) => (this.#tell = resolve));

  tell(): void {
    this.#tell();
  }

  override async *watch(...args: Parameters<Engine['watch']>): AsyncIterable<Batch> {
    for await (const batch of super.watch(...args)) {
      if (batch.changes.length > 0) await this.#told;
      yield batch;
    }
  }
}

test('a change answers when it is in force here, not before', async () => {
  const late = new Late(createMemoryEngine());
  const access = await open(late);
  let answered = false;
  const made = change(access, (state) => edits.addUser(state, 'bob', 'h')).then(() => {
    answered = true;
  });
  while ((await late.status()).revision === 0);
  await new Promise((resolve) => setImmediate(resolve));
  expect([answered, access.state.users.size]).toEqual([false, 0]);
  late.tell();
  await made;
  expect(access.state.users.size).toBe(1);
});

test('a token ends when it was not used for five minutes', async () => {
  const clock = new FakeClock();
  const access = await open(createMemoryEngine(), clock);
  await change(access, (state) => edits.addUser(state, 'bob', 'h'));
  const user = access.state.users.get('bob');
  if (user === undefined) throw new Error('bob is there');
  const [used, unused] = [
    access.tokens.give(user, access.state),
    access.tokens.give(user, access.state),
  ];
  for (let minute = 0; minute < 4; minute++) {
    clock.advance(60_000);
    expect(access.bearer(used)?.name).toBe('bob');
  }
  clock.advance(59_999);
  expect([access.bearer(used)?.name, access.bearer(unused)?.name]).toEqual(['bob', 'bob']);
  clock.advance(299_999);
  expect(access.bearer(unused)?.name).toBe('bob');
  clock.advance(2);
  expect(access.bearer(used)).toBe(null);
  expect(access.bearer(unused)?.name).toBe('bob');
  clock.advance(300_000);
  access.tokens.give(user, access.state);
  expect(access.tokens.size).toBe(1);
});

test('beyond their number the token that was not used for longest ends', async () => {
  const access = await open(createMemoryEngine(), new FakeClock());
  await change(access, (state) => edits.addUser(state, 'bob', 'h'));
  const user = access.state.users.get('bob');
  if (user === undefined) throw new Error('bob is there');
  const first = access.tokens.give(user, access.state);
  let last = '';
  for (let n = 0; n < accessLimits.tokensMax; n++) last = access.tokens.give(user, access.state);
  expect(access.tokens.size).toBe(accessLimits.tokensMax);
  expect([access.bearer(first), access.bearer(last)?.name]).toEqual([null, 'bob']);
});

test('passwords are kept hashed, each its own way, and the right one matches', async () => {
  const { passwords } = await open(createMemoryEngine());
  const [one, two] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
  expect(one).toMatch(/^scrypt\$16384\$8\$5\$[\w-]{22}\$[\w-]{43}$/);
  expect(one === two || one.includes('secret')).toBe(false);
  const matches = (password: string, hashed: string | null) => passwords.matches(password, hashed);
  expect([await matches('secret', one), await matches('secre', one)]).toEqual([true, false]);
  expect([await matches('', ''), await matches('', null)]).toEqual([false, false]);
  const long = 'x'.repeat(accessLimits.passwordBytesMax + 1);
  await expect(passwords.hash(long)).rejects.toMatchObject({ code: 'too_large' });
});

test('logging in does not keep the loop, and too many at once are refused', async () => {
  const limits = { passwordBytesMax: 10, loginsAtOnceMax: 2, loginsWaitingMax: 1 };
  const passwords = new Passwords(random, limits);
  const taken = Array.from({ length: 3 }, () => passwords.hash('x'));
  await expect(passwords.hash('x')).rejects.toMatchObject({ code: 'overloaded' });
  let turns = 0;
  const turning = new AbortController();
  const spin = (): void => {
    turns++;
    if (!turning.signal.aborted) setImmediate(spin);
  };
  setImmediate(spin);
  await Promise.all(taken);
  turning.abort();
  expect(turns).toBeGreaterThan(100);
  await passwords.hash('x');
});

test('names, roles of a user and grants of a role have their number', async () => {
  const access = await open(createMemoryEngine());
  const refused = { code: 'too_large' };
  const name = 'é'.repeat(accessLimits.nameBytesMax / 2);
  await change(access, (state) => edits.addUser(state, name, 'h'));
  await change(access, (state) => edits.addRole(state, name));
  await change(access, (state) => edits.grantRole(state, name, name));
  await expect(
    change(access, (state) => edits.addUser(state, `${name}x`, 'h')),
  ).rejects.toMatchObject(refused);
  await expect(change(access, (state) => edits.addRole(state, `${name}x`))).rejects.toMatchObject(
    refused,
  );
  for (let n = 1; n < accessLimits.rolesPerUserMax; n++) {
    await change(access, (state) => edits.addRole(state, `r${n}`));
    await change(access, (state) => edits.grantRole(state, name, `r${n}`));
  }
  await change(access, (state) => edits.addRole(state, 'more'));
  await expect(
    change(access, (state) => edits.grantRole(state, name, 'more')),
  ).rejects.toMatchObject(refused);
  await change(access, (state) => edits.deleteUser(state, name));
  expect(access.state.rolesOf(name)).toEqual([]);
});

test('what is no rule is not taken for one', async () => {
  const engine = createMemoryEngine();
  await engine.commit({ apply: [{ type: 'put', key: `${prefix}role/r`, value: '{"grants' }] });
  await expect(open(engine)).rejects.toMatchObject({ code: 'corrupt' });
});

test('[A6.2] another server is known by its secret, whichever server over the engine it asks; a user of the same name is a user', async () => {
  const engine = createMemoryEngine();
  const [here, there] = [await open(engine), await open(engine)];
  await here.enable();
  await change(there, (state) => edits.addUser(state, 'other', null));
  const origin = { face: 'binary', from: '127.0.0.1' };
  const callerOf = (token: string | undefined): Caller => new Caller(there, { token }, origin);
  const secret = await here.peerToken();
  await change(there, (state) => edits.addUser(state, 'last', null));
  expect(callerOf(secret).isPeer).toBe(true);
  expect(callerOf(`${secret}x`).isPeer).toBe(false);
  const name = callerOf(secret).user as string;
  const { token } = await there.giveToken({ user: name });
  expect(callerOf(token).user).toBe(name);
  expect(callerOf(token).isPeer).toBe(false);
});
