import { readFileSync } from 'node:fs';
import { textToBytes } from '../../core/bytes.js';
import type { ByteString } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';

/** What an `etcd://` URL says. */
export interface EtcdTarget {
  /** `host:port` of each member. */
  readonly endpoints: readonly string[];
  readonly root: ByteString;
  /** Null: in the clear. */
  readonly tls: EtcdTls | null;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** This etcd serves nothing else: `compact` drops its history, too. */
  readonly owned: boolean;
  /** A call ends within this. */
  readonly timeoutMs: number;
}

export interface EtcdTls {
  /** PEM. */
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

const form = 'etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][/ROOT][?owned&timeoutMs=…]';
const options = new Set(['owned', 'timeoutMs', 'ca', 'cert', 'key']);
const defaultTimeoutMs = 5_000;

/**
 * `etcd://` in the clear, `etcds://` with TLS: `ca`, `cert` and `key` name PEM files. The root is `waymark` unless the URL has one.
 *
 * @throws {WaymarkError} `invalid`, with the form
 */
export function parseEtcdUrl(url: string): EtcdTarget {
  const [, scheme, credentials, hosts, path = '', search = ''] =
    /^(etcds?):\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url) ?? [];
  if (scheme === undefined || hosts === undefined || hosts === '') throw invalid(`no etcd URL`);
  const query = new URLSearchParams(search);
  for (const name of query.keys()) {
    if (!options.has(name)) throw invalid(`there is no option '${name}'`);
  }
  const [user, password] = (credentials ?? '').split(':').map(decodeURIComponent);
  if ((user === '' || user === undefined) !== (password === undefined)) {
    throw invalid('a user needs a password');
  }
  return {
    endpoints: hosts.split(',').map(endpointOf),
    root: rootOf(path),
    tls: scheme === 'etcds' ? tlsOf(query) : refuseTls(query),
    user: user === '' ? undefined : user,
    password,
    owned: query.has('owned') && query.get('owned') !== 'false',
    timeoutMs: timeoutOf(query),
  };
}

function endpointOf(text: string): string {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(text) ?? [];
  if (host === undefined || Number(port ?? 1) > 65_535) throw invalid(`'${text}' is no endpoint`);
  return `${host}:${port ?? 2379}`;
}

function rootOf(path: string): ByteString {
  const root = textToBytes(decodeURIComponent(path.replace(/\/+$/, '')));
  if (root.length > 512) throw invalid('a root has at most 512 bytes');
  return root === '' ? 'waymark' : root;
}

function tlsOf(query: URLSearchParams): EtcdTls {
  const pem = (name: string): Buffer | null => {
    const file = query.get(name);
    if (file === null) return null;
    try {
      return readFileSync(file);
    } catch (error) {
      throw invalid(`${name}: ${(error as Error).message}`);
    }
  };
  const tls = { ca: pem('ca'), cert: pem('cert'), key: pem('key') };
  if ((tls.cert === null) !== (tls.key === null)) throw invalid('cert and key go together');
  return tls;
}

function refuseTls(query: URLSearchParams): null {
  for (const name of ['ca', 'cert', 'key']) {
    if (query.has(name)) throw invalid(`${name} is for etcds://`);
  }
  return null;
}

function timeoutOf(query: URLSearchParams): number {
  const text = query.get('timeoutMs');
  const timeoutMs = Number(text ?? defaultTimeoutMs);
  if (Number.isInteger(timeoutMs) && timeoutMs >= 100 && timeoutMs <= 600_000) return timeoutMs;
  throw invalid(`timeoutMs is 100 to 600 000, not ${text}`);
}

function invalid(why: string): WaymarkError {
  return new WaymarkError('invalid', `${why}: write ${form}`);
}
