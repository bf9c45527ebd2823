import { Auth, KV, type MessageInitShape, type RequestOpSchema } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { answer, AuthWorld, permission, permType } from './auth-world.js';
import type { EtcdApi } from './client.js';
import { onFreshEtcds } from './each-etcd.js';
import { bytes } from './keys.js';

/**
 * Roles, ranges and operations at random, beside an oracle that knows nothing of ranges merged or searched: it goes over every key there
 * can be, and asks whether some permission of some role of the user names it.
 */

const file = 'test/etcd/auth-matrix.test.ts';

/** Few, so that ranges touch, overlap and leave gaps; among them one that is another with a zero byte behind. */
const letters = ['\0', 'a', 'a\0', 'ab', 'b', 'c', 'd', 'd\0', 'm', '\xff', '\xff\xff'] as const;
const users = ['one', 'two', 'three'] as const;
const roles = ['p', 'q', 'r', 's'] as const;
const kinds = Object.keys(permType) as (keyof typeof permType)[];

type Action = 'read' | 'write';
/** `end` undefined: the key alone; empty: no end. */
interface Range {
  readonly key: string;
  readonly end: string | undefined;
}
interface Permission extends Range {
  readonly kind: (typeof kinds)[number];
}
interface Need extends Range {
  readonly action: Action;
}

interface Rules {
  readonly permissions: Map<string, Permission[]>;
  readonly granted: Map<string, Set<string>>;
}

function inRange(key: string, { key: from, end }: Range): boolean {
  return end === undefined ? key === from : key >= from && (end === '' || key < end);
}

/** Every key that can matter: those ranges begin and end with, what comes right before and after them, and beyond all. */
const universe = [...letters, 'A', 'zz', '\xff\xff\xff', '\x01'].flatMap((key) => [
  key,
  `${key}\0`,
  `${key}\0\0`,
  `${key}~`,
]);

function permitted({ permissions, granted }: Rules, user: string, need: Need): boolean {
  const mine = [...(granted.get(user) ?? [])].flatMap((role) => permissions.get(role) ?? []);
  const may = mine.filter(({ kind }) => kind === 'readwrite' || kind === need.action);
  return universe
    .filter((key) => inRange(key, need))
    .every((key) => may.some((one) => inRange(key, one)));
}

class Generator {
  readonly #random: SeededRandom;
  /** Whether what a put in a transaction tells of before is asked about, and what is nested in it: etcd 3.4 does not. */
  readonly #within: boolean;

  constructor(random: SeededRandom, within: boolean) {
    this.#random = random;
    this.#within = within;
  }

  one<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)] as T;
  }

  below(count: number): number {
    return this.#random.below(count);
  }

  range(): Range {
    const [key, other] = [this.one(letters), this.one(letters)];
    const shape = this.below(4);
    if (shape === 0) return { key, end: undefined };
    if (shape === 1) return { key, end: '' };
    if (key === other) return { key, end: undefined };
    return key < other ? { key, end: other } : { key: other, end: key };
  }

  rules(): Rules {
    const permissions = new Map<string, Permission[]>();
    for (const role of roles) {
      const few = new Map<string, Permission>();
      for (let n = this.below(5); n > 0; n--) {
        const range = this.range();
        few.set(JSON.stringify(range), { ...range, kind: this.one(kinds) });
      }
      permissions.set(role, [...few.values()]);
    }
    const granted = new Map(
      users.map((user) => [user, new Set(roles.filter(() => this.below(2) === 0))]),
    );
    return { permissions, granted };
  }

  /** An operation, and all that it needs. */
  operation(depth: number): Made {
    const range = this.range();
    const asked = askedFor(range);
    const which = this.below(depth > 0 ? 5 : 3);
    const prevKv = (this.#within || which !== 1) && this.below(3) === 0;
    if (which > 2) return this.txn(depth - 1);
    if (which === 0) {
      return made({ case: 'requestRange', value: asked }, [{ ...range, action: 'read' }]);
    }
    const where = which === 1 ? { key: range.key, end: undefined } : range;
    const needs: Need[] = [{ ...where, action: 'write' }];
    if (prevKv) needs.push({ ...where, action: 'read' });
    if (which === 1) {
      return made({ case: 'requestPut', value: { key: asked.key, prevKv } }, needs);
    }
    return made({ case: 'requestDeleteRange', value: { ...asked, prevKv } }, needs);
  }

  txn(depth: number): Made {
    const compared = this.below(3) === 0 ? [this.range()] : [];
    // Branches of one operation each, so that no key is written twice.
    const [success, failure] = [this.operation(depth), this.operation(depth)];
    const targetUnion = { case: 'version', value: 0n } as const;
    const compare = compared.map((range) => ({ ...askedFor(range), targetUnion }));
    const value = { compare, success: [success.op], failure: [failure.op] };
    const reads = compared.map((range): Need => ({ ...range, action: 'read' }));
    return made({ case: 'requestTxn', value }, [...reads, ...success.needs, ...failure.needs]);
  }
}

type RequestOp = MessageInitShape<typeof RequestOpSchema>;
type Op = Extract<NonNullable<RequestOp['request']>, { case: string }>;

interface Made {
  readonly op: { readonly request: Op };
  readonly needs: readonly Need[];
}

function made(request: Op, needs: readonly Need[]): Made {
  return { op: { request }, needs };
}

function askedFor({ key, end }: Range): { key: Buffer; rangeEnd: Buffer } {
  return { key: bytes(key), rangeEnd: bytes(end === undefined ? '' : end || '\0') };
}

async function send(api: EtcdApi, request: Op): Promise<string> {
  const { range, put, deleteRange, txn } = KV.method;
  if (request.case === 'requestRange') return await answer(api, range, request.value);
  if (request.case === 'requestPut') return await answer(api, put, request.value);
  if (request.case === 'requestDeleteRange') return await answer(api, deleteRange, request.value);
  return await answer(api, txn, request.value);
}

async function setUp(root: EtcdApi, rules: Rules): Promise<void> {
  const { roleAdd, roleDelete, roleGrantPermission, userGrantRole } = Auth.method;
  await Promise.all(
    roles.map(async (name) => {
      await answer(root, roleDelete, { role: name });
      await root.call(roleAdd, { name });
      for (const { kind, key, end } of rules.permissions.get(name) ?? []) {
        await root.call(roleGrantPermission, { name, perm: permission(kind, key, end) });
      }
      for (const user of users) {
        if (rules.granted.get(user)?.has(name))
          await root.call(userGrantRole, { user, role: name });
      }
    }),
  );
}

onFreshEtcds((start, kind) => {
  test('whoever may do what: as every key of it says', { timeout: 600_000 }, async () => {
    const seed = chooseSeed(file);
    await using world = await AuthWorld.start(start);
    for (const name of users) await world.addUser(name, []);
    const root = await world.enable();
    const apis = new Map<string, EtcdApi>();
    for (const name of users) apis.set(name, await world.logIn(name));
    const since35 = kind !== 'etcd 3.4';
    const depth = since35 ? 2 : 0;
    const told = { ok: 0, denied: 0 };
    for (let round = 0; round < sized(20, 200); round++) {
      const generator = new Generator(new SeededRandom(seed + round), since35);
      const rules = generator.rules();
      await setUp(root, rules);
      for (let n = 0; n < 100; n++) {
        const user = generator.one(users);
        const { op, needs } =
          generator.below(4) === 0 ? generator.txn(depth) : generator.operation(0);
        const may = needs.every((need) => permitted(rules, user, need));
        const said = await send(apis.get(user) as EtcdApi, op.request);
        told[may ? 'ok' : 'denied']++;
        const roles = [...(rules.granted.get(user) ?? [])].map((role) =>
          rules.permissions.get(role),
        );
        const context = `SEED=${seed + round} ${user} ${op.request.case} needs ${JSON.stringify(needs)}, has ${JSON.stringify(roles)}`;
        expect(said, context).toBe(may ? 'ok' : '7 etcdserver: permission denied');
      }
    }
    expect(Math.min(told.ok, told.denied)).toBeGreaterThan(300);
  });
});
