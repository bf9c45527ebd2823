import {
  type Batch,
  type Host,
  type LeaseId,
  type Query,
  recipeCalls,
  textToBytes,
  type Txn,
} from 'waymark/engine';
import type { Need } from './oracle.js';
import { data, namespace, valueOf } from './world.js';

/** An operation of the binary protocol: what it needs, and how it is asked. */
export interface HostOperation {
  readonly name: string;
  readonly needs: (path: string) => readonly Need[];
  readonly run: (host: Host, path: string, ground: HostGround) => Promise<unknown>;
}

export interface HostGround {
  /** Before the last writes. */
  readonly past: number;
  /** Of somebody else: it keeps `/secret/deep/leased`. */
  readonly foreign: LeaseId;
}

const key = (path: string): string => `d${path === '/' ? '' : textToBytes(path)}`;
const below = (path: string): { key: string; end: string } => ({
  key: `${key(path)}/`,
  end: `${key(path)}0`,
});
const put = (path: string) =>
  ({ type: 'put', key: key(path), value: textToBytes(valueOf(path)) }) as const;
/** It never holds: no version is less than nothing. */
const never = (path: string) => ({ key: key(path), target: 'version', is: '<', to: 0 }) as const;

const read = (path: string): Need => data('read', path);
const write = (path: string): Need => data('write', path);

function reading(
  name: string,
  query: (path: string, ground: HostGround) => Query,
  needs: HostOperation['needs'] = (path) => [read(path)],
): HostOperation {
  return { name, needs, run: (host, path, ground) => host.read(namespace, query(path, ground)) };
}

function committing(
  name: string,
  txn: (path: string) => Txn,
  needs: HostOperation['needs'],
): HostOperation {
  return { name, needs, run: (host, path) => host.commit(namespace, txn(path)) };
}

function watching(
  name: string,
  ranges: (path: string) => readonly { key: string; end?: string }[],
  needs: HostOperation['needs'],
): HostOperation {
  return {
    name,
    needs,
    async run(host, path, { past }) {
      const ending = new AbortController();
      const options = { after: past, signal: ending.signal };
      const watch = host.watch(namespace, ranges(path), options)[Symbol.asyncIterator]();
      const first = watch.next();
      // What is refused is refused at once; what is permitted has a change to tell, or stands still.
      const refused = await Promise.race([
        first.then((step: IteratorResult<Batch>) => step.value as unknown),
        host.read(namespace, { key: 'd/\u0001', limit: 1 }).then(later, later),
      ]);
      ending.abort();
      await first.catch(() => undefined);
      await watch.return?.();
      return refused;
    },
  };
}

async function later(): Promise<undefined> {
  await new Promise((resolve) => void setImmediate(resolve));
  return undefined;
}

const named = (name: string): (typeof recipeCalls)[number] => {
  const call = recipeCalls.find((one) => one.name === name);
  if (call === undefined) throw new Error(`there is no call ${name}`);
  return call;
};

function calling(
  name: string,
  any: readonly string[],
  args: (path: string) => object,
  more: HostOperation['needs'] = () => [],
): HostOperation {
  return {
    name,
    needs: (path) => [{ any, path }, ...more(path)],
    run: (host, path) => host.run(named(name), namespace, args(path)),
  };
}

export const hostOperations: readonly HostOperation[] = [
  reading('get', (path) => ({ key: key(path) })),
  reading('get before', (path, { past }) => ({ key: key(path), at: past })),
  reading('count', (path) => ({ ...below(path), countOnly: true })),
  reading('names', (path) => ({ ...below(path), keysOnly: true })),
  reading('tree', (path) => below(path)),
  reading('page', (path) => ({ ...below(path), limit: 1, orderBy: 'mod', descending: true })),
  reading(
    'from here on',
    (path) => ({ key: key(path), end: 'e' }),
    () => [read('/')],
  ),
  reading(
    'siblings that begin alike',
    (path) => ({ key: key(path), end: `${key(path)}\u00ff` }),
    (path) => [read(path.slice(0, path.lastIndexOf('/')) || '/')],
  ),
  reading(
    'everything',
    () => ({ key: '', end: '' }),
    () => [{ any: [], path: '/' }],
  ),
  reading(
    'marks of locks',
    (path) => ({ key: `h${textToBytes(path)}\0`, end: `h${textToBytes(path)}\u0001` }),
    (path) => [{ any: ['read', 'lock'], path }],
  ),
  reading(
    'members',
    (path) => ({ key: `g${textToBytes(path)}\0`, end: `g${textToBytes(path)}\u0001` }),
    (path) => [{ any: ['read', 'lead', 'send'], path }],
  ),
  reading(
    'what Waymark keeps',
    (path) => ({ key: `w/audit/${textToBytes(path)}`, end: 'w/audit0' }),
    () => [{ any: [], path: '/' }],
  ),
  committing(
    'put',
    (path) => ({ apply: [put(path)] }),
    (path) => [write(path)],
  ),
  committing(
    'put for what was there',
    (path) => ({ apply: [{ ...put(path), previous: true }] }),
    (path) => [write(path), read(path)],
  ),
  committing(
    'delete',
    (path) => ({ apply: [{ type: 'delete', key: `${key(path)}/never` }] }),
    (path) => [write(`${path}/never`)],
  ),
  committing(
    'check',
    (path) => ({ when: [{ key: key(path), target: 'value', is: '=', to: 'guess' }] }),
    (path) => [read(path)],
  ),
  committing(
    'check of a tree',
    (path) => ({ when: [{ ...below(path), target: 'version', is: '=', to: 0 }] }),
    (path) => [read(path)],
  ),
  committing(
    'read in a transaction',
    (path) => ({ apply: [{ type: 'read', ...below(path) }] }),
    (path) => [read(path)],
  ),
  committing(
    'read in a nested one',
    (path) => ({ apply: [{ type: 'txn', txn: { apply: [{ type: 'read', key: key(path) }] } }] }),
    (path) => [read(path)],
  ),
  committing(
    'put in a nested branch that is not taken',
    (path) => ({
      apply: [{ type: 'txn', txn: { when: [never(path)], apply: [put(path)] } }],
    }),
    (path) => [read(path), write(path)],
  ),
  committing(
    'a tree in the other branch',
    (path) => ({
      when: [never(path)],
      apply: [{ type: 'delete', ...below(path), previous: true }],
    }),
    (path) => [read(path), write(path)],
  ),
  committing(
    'one that is mine and one that is not',
    (path) => ({
      apply: [
        { type: 'read', key: key('/a/b') },
        { type: 'read', key: key(path) },
      ],
    }),
    (path) => [read('/a/b'), read(path)],
  ),
  watching(
    'watch',
    (path) => [{ key: key(path) }],
    (path) => [data('watch', path)],
  ),
  watching(
    'watch of a tree',
    (path) => [below(path)],
    (path) => [data('watch', path)],
  ),
  watching(
    'watch of two',
    (path) => [{ key: key('/a/b') }, below(path)],
    (path) => [data('watch', '/a/b'), data('watch', path)],
  ),
  {
    name: 'explain',
    needs: (path) => [{ any: ['lock', 'read'], path }],
    run: (host, path) => host.explain(namespace, { path, tree: true, mode: 'exclusive' }),
  },
  {
    name: 'release',
    needs: (path) => [data('lock', path)],
    run: (host, path) =>
      host.release(namespace, { path, tree: false, mode: 'exclusive', id: 'nobody' }),
  },
  {
    name: 'force-unlock',
    needs: (path) => [{ any: [], path }],
    run: (host, path) => host.forceUnlock(namespace, path, 'the matrix'),
  },
  {
    name: 'attach to a lease of others',
    needs: (path) => [write(path), write('/secret/deep/leased')],
    run: (host, path, { foreign }) =>
      host.commit(namespace, { otherwise: [{ ...put(path), lease: foreign }] }),
  },
  calling(
    'counter.add',
    ['write'],
    (path) => ({ path, by: 0 }),
    (path) => [read(path)],
  ),
  calling('semaphore.explain', ['lock', 'read'], (path) => ({
    ...{ path, weight: 1, parties: 10 },
  })),
  calling('election.explain', ['lead', 'read'], (path) => ({ path })),
  calling('once.explain', ['lock', 'read'], (path) => ({ path })),
  calling('members.leave', ['lead'], (path) => ({ group: path, member: 'nobody' })),
];
