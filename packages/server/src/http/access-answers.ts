import { Type } from 'typebox';
import { actions } from '../access/rules.js';

/** What the routes of access answer, for the OpenAPI document. */

const roles = Type.Array(Type.String());

const shownRule = Type.Object({
  actions: Type.Array(Type.Enum([...actions])),
  namespace: Type.Optional(Type.String({ description: '`*`: all' })),
  path: Type.Optional(Type.String({ description: 'and all below it' })),
  stash: Type.Optional(Type.String({ description: 'an index of the stash; `*`: all' })),
});

const token = {
  id: Type.String(),
  user: Type.String(),
  note: Type.String(),
  createdAt: Type.Integer({ description: 'Unix time in ms' }),
  expiresAt: Type.Union([Type.Integer(), Type.Null()], { description: 'Unix time in ms' }),
  roles,
};

const secret = Type.String({ description: 'shown here alone' });
const count = Type.Integer({ minimum: 0 });

export const accessAnswers = {
  status: {
    200: Type.Object({ on: Type.Boolean(), users: count, roles: count, tokens: count }),
  },
  switched: { 200: Type.Object({ on: Type.Boolean(), token: Type.Optional(secret) }) },
  tokens: { 200: Type.Object({ tokens: Type.Array(Type.Object(token)) }) },
  tokenMade: { 201: Type.Object({ token: secret, ...token }) },
  roles: {
    200: Type.Object({
      roles: Type.Array(Type.Object({ role: Type.String(), rules: Type.Array(shownRule) })),
    }),
  },
  rule: { 200: shownRule },
  users: {
    200: Type.Object({ users: Type.Array(Type.Object({ user: Type.String(), roles })) }),
  },
  nothing: { 204: Type.Null({ description: 'done' }) },
};
