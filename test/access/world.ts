import type { Need, OracleRule } from './oracle.js';

/** What there is, and who asks: the cases of the matrix are their product with the operations. */

export const namespace = 'etcd';

/** Where something stands. What is asked beside each is where nothing does, and must be answered alike. */
export const bases = [
  '/secret',
  '/secret/deep/x',
  '/a',
  '/a/b',
  '/a/b/c',
  '/ab',
  '/ab/c',
  '/A',
  '/a b',
  '/a.b/c',
  '/a-',
  '/a0',
  '/b',
  '/b/a',
  '/é',
  '/e\u0301',
] as const;

export const paths = bases.flatMap((base) => [base, `${base}/none`]);

export function valueOf(path: string): string {
  return `canary-${Buffer.from(path).toString('hex')}-value`;
}

/** No answer that was refused holds one of these, but for the path that was asked for itself. */
export const canary = /canary|secret\/deep/;

export interface Role {
  readonly user: string;
  readonly rules: readonly OracleRule[];
}

const places = ['/', '/a', '/a/b', '/ab', '/secret', '/é'] as const;
const sets = [
  ['read'],
  ['write'],
  ['read', 'watch'],
  ['read', 'write', 'watch', 'lock'],
  ['lock', 'lead', 'send'],
] as const;

const held: readonly Pick<Role, 'rules'>[] = [
  { rules: [] },
  { rules: [{ actions: ['admin'], path: '/a' }] },
  {
    rules: [
      { actions: ['read', 'watch'], path: '/a/b' },
      { actions: ['read', 'write'], path: '/ab' },
    ],
  },
  { rules: [{ actions: ['admin'], path: '/audit' }] },
  ...places.flatMap((path) =>
    sets.map((actions) => ({
      rules: [{ actions, path }],
    })),
  ),
];

/** Named so that a refusal, which names its user, holds no path by that. */
export const roles: readonly Role[] = held.map((one, at) => ({ user: `user-${at}-`, ...one }));

export function data(any: string, path: string): Need {
  return { any: [any], path };
}
