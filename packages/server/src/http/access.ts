import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { WaymarkError } from 'waymark';
import type { Access } from '../access/access.js';
import { AccessRefusal, type Refusal } from '../access/access-edits.js';
import { type AccessState, inOrder, type Token } from '../access/access-state.js';
import type { Edit } from '../access/access-store.js';
import { ruleOf } from '../access/rules.js';
import { accessAnswers as answers } from './access-answers.js';

/** Who may do what, for root alone: the guard of routes sees to that (`callers.ts`). */

const root = '/v1/access';
const tags = ['access'];
const name = Type.String({ minLength: 1, maxLength: 256 });

const tokenWish = Type.Object(
  {
    user: name,
    roles: Type.Optional(Type.Array(name, { description: 'given to the user beside its own' })),
    note: Type.Optional(Type.String({ maxLength: 256 })),
    ttlMs: Type.Optional(
      Type.Integer({ minimum: 1_000, description: 'it ends so long from now; default: never' }),
    ),
  },
  { additionalProperties: false },
);
const rule = Type.Object(
  {
    actions: Type.Array(Type.String()),
    namespace: Type.Optional(Type.String({ description: 'default `default`; `*`: all' })),
    path: Type.Optional(Type.String({ description: 'and all below it; default `/`' })),
    stash: Type.Optional(Type.String({ description: 'an index of the stash instead; `*`: all' })),
  },
  { additionalProperties: false },
);
const subject = Type.Omit(rule, ['actions']);
const roleBody = Type.Object({ role: name }, { additionalProperties: false });

export function accessRoutes(app: FastifyInstance, access: Access): void {
  const change = async (plan: (state: AccessState) => Edit): Promise<void> => {
    await access.store.change(plan);
  };
  switchRoutes(app, access, change);
  peerRoutes(app, access);
  tokenRoutes(app, access, change);
  roleRoutes(app, access, change);
  userRoutes(app, access, change);
}

type Change = (plan: (state: AccessState) => Edit) => Promise<void>;

function switchRoutes(app: FastifyInstance, access: Access, change: Change): void {
  const schema = { tags, summary: 'whether access is on', response: answers.status };
  const status = (): object => {
    const { state, on } = access;
    const { users, roles, tokens } = state;
    return { on, users: users.size, roles: roles.size, tokens: tokens.size };
  };
  app.get(root, { schema }, async () => status());
  const on = { tags, summary: 'switch it on', response: answers.switched };
  app.post(`${root}/on`, { schema: on }, async (_request, reply) => {
    const token = await told(() => access.enable());
    void reply.header('cache-control', 'no-store');
    return token === null ? { on: true } : { on: true, token };
  });
  app.post(`${root}/off`, { schema: { ...schema, summary: 'switch it off' } }, async () => {
    if (access.required) {
      const text = 'this server is reached from elsewhere because access is on: it stays on';
      throw new WaymarkError('denied', text);
    }
    await told(() => change((state) => access.edits.disable(state)));
    return status();
  });
}

function peerRoutes(app: FastifyInstance, access: Access): void {
  const summary = 'let servers show each other another secret';
  const schema = { tags, summary, response: answers.nothing };
  app.post(`${root}/peers/renew`, { schema }, async (_request, reply) => {
    await access.renewPeers();
    return await reply.code(204).send();
  });
}

function tokenRoutes(app: FastifyInstance, access: Access, change: Change): void {
  const list = { tags, summary: 'the tokens there are', response: answers.tokens };
  app.get(`${root}/tokens`, { schema: list }, async () => ({
    tokens: [...access.state.tokens.values()].map((one) => shown(access.state, one)),
  }));
  const add = { tags, body: tokenWish, summary: 'make a token', response: answers.tokenMade };
  app.post(`${root}/tokens`, { schema: add }, async (request, reply) => {
    const wish = request.body as Static<typeof tokenWish>;
    const { token, kept } = await told(() => access.giveToken(wish));
    void reply.header('cache-control', 'no-store').code(201);
    return { token, ...shown(access.state, kept) };
  });
  const drop = { tags, summary: 'end a token', response: answers.nothing };
  app.delete(`${root}/tokens/:id`, { schema: drop }, async (request, reply) => {
    await told(() => change((state) => access.edits.removeToken(state, param(request, 'id'))));
    return await reply.code(204).send();
  });
}

function roleRoutes(app: FastifyInstance, access: Access, change: Change): void {
  const { edits } = access;
  const list = { tags, summary: 'the roles and their rules', response: answers.roles };
  app.get(`${root}/roles`, { schema: list }, async () => ({
    roles: inOrder(access.state.roles.keys()).map((role) => ({
      role,
      rules: access.state.roles.get(role)?.rules ?? [],
    })),
  }));
  const one = `${root}/roles/:role`;
  const drop = { tags, summary: 'remove a role', response: answers.nothing };
  app.delete(one, { schema: drop }, async (request, reply) => {
    await told(() => change((state) => edits.deleteRole(state, param(request, 'role'))));
    return await reply.code(204).send();
  });
  const add = {
    tags,
    body: rule,
    summary: 'permit something; the role is made where there is none',
    response: answers.rule,
  };
  app.post(`${one}/rules`, { schema: add }, async (request) => {
    const wanted = ruleOf(request.body as Static<typeof rule>);
    await told(() => change((state) => edits.addRule(state, param(request, 'role'), wanted)));
    return wanted;
  });
  const remove = {
    tags,
    querystring: subject,
    summary: 'permit it no more',
    response: answers.nothing,
  };
  app.delete(`${one}/rules`, { schema: remove }, async (request, reply) => {
    const about = ruleOf({ ...(request.query as Static<typeof subject>), actions: ['read'] });
    await told(() => change((state) => edits.removeRule(state, param(request, 'role'), about)));
    return await reply.code(204).send();
  });
}

function userRoutes(app: FastifyInstance, access: Access, change: Change): void {
  const { edits } = access;
  const list = { tags, summary: 'the users and their roles', response: answers.users };
  app.get(`${root}/users`, { schema: list }, async () => ({
    users: inOrder(access.state.users.keys()).map((user) => ({
      user,
      roles: access.state.rolesOf(user),
    })),
  }));
  const one = `${root}/users/:user`;
  const add = { tags, summary: 'add a user, who shows a certificate', response: answers.nothing };
  app.put(one, { schema: add }, async (request, reply) => {
    const user = param(request, 'user');
    await told(() =>
      change((state) =>
        state.users.has(user) ? { operations: [] } : edits.addUser(state, user, null),
      ),
    );
    return await reply.code(204).send();
  });
  const drop = { ...add, summary: 'remove a user, and its tokens' };
  app.delete(one, { schema: drop }, async (request, reply) => {
    await told(() => change((state) => edits.deleteUser(state, param(request, 'user'))));
    return await reply.code(204).send();
  });
  const give = { ...add, body: roleBody, summary: 'give a user a role' };
  app.post(`${one}/roles`, { schema: give }, async (request, reply) => {
    const { role } = request.body as Static<typeof roleBody>;
    await told(() => change((state) => edits.grantRole(state, param(request, 'user'), role)));
    return await reply.code(204).send();
  });
  const take = { ...add, summary: 'take a role from a user' };
  app.delete(`${one}/roles/:role`, { schema: take }, async (request, reply) => {
    const [user, role] = [param(request, 'user'), param(request, 'role')];
    await told(() => change((state) => edits.revokeRole(state, user, role)));
    return await reply.code(204).send();
  });
}

function shown(state: AccessState, { hash: _hash, ...token }: Token): object {
  return { ...token, roles: state.rolesOf(token.user) };
}

function param(request: FastifyRequest, of: string): string {
  return (request.params as Record<string, string>)[of] as string;
}

async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AccessRefusal)) throw error;
    const [code, text] = words[error.reason];
    throw new WaymarkError(code, text, {}, error);
  }
}

const words: Readonly<Record<Refusal, readonly ['not_found' | 'conflict', string]>> = {
  root_user_absent: ['conflict', 'there is no user root'],
  root_role_absent: ['conflict', 'the user root has not the role root'],
  root_needed: ['conflict', 'while access is on there is the user root, with the role root'],
  user_exists: ['conflict', 'there is such a user'],
  user_absent: ['not_found', 'there is no such user'],
  role_exists: ['conflict', 'there is such a role'],
  role_absent: ['not_found', 'there is no such role: permit it something first'],
  role_not_granted: ['not_found', 'the user has not this role'],
  grant_absent: ['not_found', 'the role has no such rule'],
  token_absent: ['not_found', 'there is no such token'],
};
