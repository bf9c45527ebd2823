import {
  Auth,
  Cluster,
  Election,
  KV,
  Lease,
  Lock,
  Maintenance,
  create,
  type DescMethod,
  Watch,
} from 'waymark/etcd';
import {
  createLocalHost,
  createMemoryEngine,
  type Engine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { expect, test } from 'vitest';
import { Access } from '../access/access.js';
import { AccessEdits } from '../access/access-edits.js';
import type { Call, StreamCall } from '../grpc/call.js';
import type { Method } from '../grpc/methods.js';
import { guarded, ruleOf } from './auth-guard.js';
import type { Ground } from './ground.js';
import { Quota } from './quota.js';

const services = [KV, Watch, Lease, Lock, Election, Cluster, Maintenance, Auth];
const everyMethod = services.flatMap((service): readonly DescMethod[] => service.methods);

test('every method of every service has a rule, and no rule is of nothing', () => {
  const paths = everyMethod.map(({ parent, name }) => `/${parent.typeName}/${name}`);
  expect([...ruleOf.keys()].toSorted()).toEqual(paths.toSorted());
});

/** Requests that say enough to be asked about. */
const requests: Readonly<Record<string, Record<string, unknown>>> = {
  Range: { key: Buffer.from('a') },
  Put: { key: Buffer.from('a') },
  DeleteRange: { key: Buffer.from('a') },
  Txn: { compare: [{ key: Buffer.from('a') }] },
  Watch: { requestUnion: { case: 'createRequest', value: {} } },
  UserGet: { name: 'root' },
  RoleGet: { role: 'root' },
  Proclaim: { leader: { key: Buffer.from('a') } },
  Resign: { leader: { key: Buffer.from('a') } },
};

interface World extends AsyncDisposable {
  readonly access: Access;
  readonly ground: Ground;
  readonly engine: Engine;
}

async function world(): Promise<World> {
  const [clock, random] = [systemClock, systemRandom];
  const engine = createMemoryEngine();
  const host = createLocalHost(engine, { clock, random });
  const access = await Access.open({ engine, clock, random, prefix: 'w/etcd/auth/' });
  const edits = new AccessEdits(access.store.layout);
  await access.store.change((state) => edits.addUser(state, 'root', ''));
  await access.store.change((state) => edits.grantRole(state, 'root', 'root'));
  await access.store.change((state) => edits.enable(state));
  const header = () => ({ clusterId: 1n, memberId: 1n, revision: 1n, raftTerm: 2n });
  const ground: Ground = {
    engine,
    host,
    clock,
    random,
    namespace: 'etcd',
    progressNotifyMs: 1_000,
    ids: header(),
    quota: new Quota(engine, 1n, undefined),
    urls: () => [],
    allowSnapshot: false,
    header,
  };
  return {
    access,
    ground,
    engine,
    async [Symbol.asyncDispose]() {
      await access[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}

/** Calls a method behind its guard. @returns whether its handler came to see the request */
async function reaches(
  { ground, access }: World,
  description: DescMethod,
  metadata: Readonly<Record<string, string>>,
): Promise<boolean> {
  let reached = false;
  const request = create(description.input, requests[description.name] ?? {});
  const call: Call = {
    metadata: (key) => metadata[key],
    socket: undefined as never,
    signal: new AbortController().signal,
  };
  const stream: StreamCall<unknown, unknown> = {
    ...call,
    send: () => undefined,
    sendBytes: () => undefined,
    async *[Symbol.asyncIterator]() {
      yield request;
    },
  };
  const unary = description.methodKind === 'unary';
  const method = {
    path: `/${description.parent.typeName}/${description.name}`,
    description,
    decode: () => request,
    encode: () => new Uint8Array(),
    kind: unary ? 'unary' : 'stream',
    handle: unary
      ? () => (reached = true)
      : async (guardedCall: AsyncIterable<unknown>) => {
          for await (const _ of guardedCall) reached = true;
        },
  } as unknown as Method;
  const [behind] = guarded([method], ground, access);
  try {
    if (behind?.kind === 'unary') await behind.handle(request, call);
    else await behind?.handle(stream);
  } catch {
    return reached;
  }
  return reached;
}

test('nobody without a token comes past it, but to log in', async () => {
  await using made = await world();
  for (const method of everyMethod) {
    const open = method === Auth.method.authenticate;
    expect([method.name, await reaches(made, method, {})]).toEqual([method.name, open]);
    const stranger = { token: 'x.1' };
    expect([method.name, await reaches(made, method, stranger)]).toEqual([method.name, open]);
  }
});

test('root comes past it everywhere, and alone into another namespace', async () => {
  await using made = await world();
  const { access } = made;
  const edits = new AccessEdits(access.store.layout);
  const all = { range: { key: '\0', end: '' }, actions: ['read', 'write'] } as const;
  await access.store.change((state) => edits.addUser(state, 'user', ''));
  await access.store.change((state) => edits.addRole(state, 'all'));
  await access.store.change((state) => edits.addGrant(state, 'all', all));
  await access.store.change((state) => edits.grantRole(state, 'user', 'all'));
  const tokenOf = (name: string): string => {
    const user = access.state.users.get(name);
    return user === undefined ? '' : access.tokens.give(user, access.state);
  };
  const elsewhere = { 'waymark-namespace': 'jobs' };
  for (const method of everyMethod) {
    const root = { token: tokenOf('root') };
    expect([method.name, await reaches(made, method, root)]).toEqual([method.name, true]);
    const there = { ...root, ...elsewhere };
    expect([method.name, await reaches(made, method, there)]).toEqual([method.name, true]);
    const user = { token: tokenOf('user'), ...elsewhere };
    const open = method === Auth.method.authenticate;
    expect([method.name, await reaches(made, method, user)]).toEqual([method.name, open]);
  }
  expect(await reaches(made, KV.method.range, { token: tokenOf('user') })).toBe(true);
});

test('an answer that was read while rules changed is thrown away', async () => {
  await using made = await world();
  const { access, ground } = made;
  const edits = new AccessEdits(access.store.layout);
  const user = access.state.users.get('root');
  const token = user === undefined ? '' : access.tokens.give(user, access.state);
  const call = { metadata: (key: string) => (key === 'token' ? token : undefined) } as Call;
  const during = async (): Promise<object> => {
    await access.store.change((state) => edits.addRole(state, 'new'));
    return {};
  };
  const methodFor = (description: DescMethod) =>
    ({
      path: `/${description.parent.typeName}/${description.name}`,
      kind: 'unary',
      handle: during,
    }) as unknown as Method;
  const [range] = guarded([methodFor(KV.method.range)], ground, access);
  if (range?.kind !== 'unary') throw new Error('range is unary');
  const request = create(KV.method.range.input, { key: Buffer.from('a') });
  await expect(range.handle(request, call)).rejects.toThrow(
    'etcdserver: revision of auth store is old',
  );
});
