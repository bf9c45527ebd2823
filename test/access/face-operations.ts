import type { Need } from './oracle.js';
import { data, namespace, valueOf } from './world.js';

/** A request of REST or of etcd's JSON gateway, and what it needs. */
export interface FaceOperation {
  readonly name: string;
  readonly needs: (path: string) => readonly Need[];
  readonly request: (path: string) => {
    readonly method: string;
    /** As it goes over the wire. */
    readonly url: string;
    readonly body?: string;
  };
}

const read = (path: string): Need => data('read', path);
const write = (path: string): Need => data('write', path);
const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/');
const at = (collection: string, path: string): string =>
  `/v1/ns/${namespace}/${collection}${encoded(path)}`;

function getting(
  name: string,
  url: (path: string) => string,
  needs: FaceOperation['needs'] = (path) => [read(path)],
): FaceOperation {
  return { name, needs, request: (path) => ({ method: 'GET', url: url(path) }) };
}

function txn(
  name: string,
  body: (path: string) => object,
  needs: FaceOperation['needs'],
): FaceOperation {
  const url = `/v1/ns/${namespace}/txn`;
  const request = (path: string) => ({ method: 'POST', url, body: JSON.stringify(body(path)) });
  return { name, needs, request };
}

export const restOperations: readonly FaceOperation[] = [
  getting('GET', (path) => at('keys', path)),
  getting('GET ?tree', (path) => `${at('keys', path)}?tree`),
  getting('children', (path) => at('children', path)),
  getting('leaves', (path) => at('leaves', path)),
  getting(
    'long poll',
    (path) => `${at('keys', path)}?wait=1ms&tree&after=1`,
    (path) => [data('watch', path)],
  ),
  getting(
    'explain',
    (path) => at('locks', path),
    (path) => [{ any: ['lock', 'read'], path }],
  ),
  {
    name: 'PUT',
    needs: (path) => [write(path)],
    request: (path) => ({ method: 'PUT', url: at('keys', path), body: valueOf(path) }),
  },
  {
    name: 'DELETE',
    needs: (path) => [write(`${path}/never`)],
    request: (path) => ({ method: 'DELETE', url: at('keys', `${path}/never`) }),
  },
  txn(
    'get in a txn',
    (path) => ({ apply: [{ get: path }] }),
    (path) => [read(path)],
  ),
  txn(
    'check in a txn, put in its other branch',
    (path) => ({
      when: [{ path: `${path}/never`, exists: false }],
      otherwise: [{ put: path, value: 'x' }],
    }),
    (path) => [read(`${path}/never`), write(path)],
  ),
];

const b64 = (text: string): string => Buffer.from(text).toString('base64');

function gateway(
  name: string,
  method: string,
  body: (path: string) => object,
  needs: FaceOperation['needs'],
): FaceOperation {
  const url = `/v3/kv/${method}`;
  const request = (path: string) => ({ method: 'POST', url, body: JSON.stringify(body(path)) });
  return { name: `gateway ${name}`, needs, request };
}

export const gatewayOperations: readonly FaceOperation[] = [
  gateway(
    'range',
    'range',
    (path) => ({ key: b64(path) }),
    (path) => [read(path)],
  ),
  gateway(
    'tree',
    'range',
    (path) => ({ key: b64(`${path}/`), range_end: b64(`${path}0`), count_only: true }),
    (path) => [read(path)],
  ),
  gateway(
    'put',
    'put',
    (path) => ({ key: b64(path), value: b64(valueOf(path)) }),
    (path) => [write(path)],
  ),
  gateway(
    'nested txn',
    'txn',
    (path) => ({ success: [{ requestTxn: { success: [{ requestRange: { key: b64(path) } }] } }] }),
    (path) => [read(path)],
  ),
];

/** Ways to write `/secret/deep/x` and others that a server may read in another way than whoever checks it. */
export const crookedUrls: readonly string[] = [
  '/a//b',
  '//secret/deep/x',
  '/a/../secret/deep/x',
  '/a/%2e%2e/secret/deep/x',
  '/a%2F..%2Fsecret%2Fdeep%2Fx',
  '/%2e%2e/secret/deep/x',
  '/a/..%5csecret%5cdeep%5cx',
  '/a\\..\\secret\\deep\\x',
  '/a/./b',
  '/a/',
  '/secret/deep/x/',
  '/secret%2Fdeep/x',
  '/%73ecret/deep/x',
  '/SECRET/deep/x',
  '/secret/deep/x%00',
  '/%00/secret/deep/x',
  '/a;/../secret/deep/x',
  '/a/b%20',
  '/a%c0%af..%c0%afsecret/deep/x',
  '/%E9',
  '/a/b?tree&path=/secret/deep/x',
  '/a?tree&tree=/',
  '/*',
  '',
  '?tree',
];
