import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { WaymarkError } from '../core/errors.js';
import { checkTls, type TlsFiles } from './cluster-tls.js';

/** What a `cluster:` URL says. */
export interface ClusterTarget {
  readonly directory: string;
  /** How the directory becomes a member's, should it be none yet; null: it must be one. */
  readonly entry: { readonly from: string; readonly token: string } | 'init' | null;
  readonly settings: MemberSettings;
  /** Path of etcd. Default: `etcd` from PATH. */
  readonly etcdBin: string;
  /** `host:port` on which a process without a server lets others join; null: none. */
  readonly listen: string | null;
  readonly insecure: boolean;
  /** Go on alone after so long without any other member; null: never by itself. */
  readonly autoRecoverMs: number | null;
}

/** What a member is made with, and keeps. Absent ones are chosen. */
export interface MemberSettings extends TlsFiles {
  readonly name?: string | undefined;
  /** Data in tmpfs, and no fsync. */
  readonly memory?: boolean | undefined;
  /** Host under which the other members reach this one; default 127.0.0.1. */
  readonly advertise?: string | undefined;
  /** IP that etcd listens on; default the advertised one, or all for a name. */
  readonly bind?: string | undefined;
  readonly clientPort?: number | undefined;
  readonly peerPort?: number | undefined;
}

const form =
  'cluster:DIR[?init | join=URL&token=TOKEN][&memory][&advertise=HOST][&bind=IP][&clientPort=N][&peerPort=N][&name=NAME]' +
  '[&tlsCert=FILE&tlsKey=FILE&tlsCa=FILE]' +
  '[&insecure][&listen=HOST:PORT][&etcdBin=PATH][&autoRecover=MS]';
const names = new Set([
  ...['init', 'join', 'token', 'memory', 'advertise', 'bind', 'clientPort', 'peerPort', 'name'],
  ...['tlsCert', 'tlsKey', 'tlsCa'],
  ...['insecure', 'listen', 'etcdBin', 'autoRecover'],
]);
const autoRecover = { leastMs: 5_000, defaultMs: 30_000 } as const;

/**
 * @throws {WaymarkError} `invalid`, with the form; `denied` when the ports would be reachable from other machines without `insecure`
 */
export function parseClusterUrl(url: string): ClusterTarget {
  const [, path = '', search = ''] = /^cluster:(?:\/\/(?=\/))?([^?]*)(?:\?(.*))?$/.exec(url) ?? [];
  if (path === '') throw invalid('cluster: needs a directory');
  const query = new URLSearchParams(search);
  for (const name of query.keys())
    if (!names.has(name)) throw invalid(`there is no option '${name}'`);
  const insecure = flag(query, 'insecure') ?? false;
  return {
    directory: resolve(path),
    entry: entryOf(query),
    settings: checkSettings(settingsOf(query), insecure),
    etcdBin: query.get('etcdBin') ?? 'etcd',
    listen: query.get('listen'),
    insecure,
    autoRecoverMs: autoRecoverOf(query),
  };
}

/** @throws {WaymarkError} `invalid`; `denied` beyond loopback without `insecure` */
export function checkSettings(settings: MemberSettings, insecure: boolean): MemberSettings {
  const { name, advertise, bind, clientPort, peerPort } = settings;
  if (name !== undefined && !/^[\w.-]{1,64}$/.test(name))
    throw invalid(`name '${name}' is not 1 to 64 letters, digits, '.', '_' and '-'`);
  if (advertise !== undefined && isIP(advertise) === 0 && !/^[\w.-]{1,253}$/.test(advertise))
    throw invalid(`'${advertise}' is no host`);
  if (bind !== undefined && isIP(bind) === 0) throw invalid(`bind '${bind}' is no IP address`);
  for (const port of [clientPort, peerPort]) {
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
      throw invalid('a port is 1 to 65535');
  }
  checkTls(settings);
  for (const host of [advertise, bind]) {
    if (insecure || settings.tlsCert !== undefined || host === undefined || isLoopback(host))
      continue;
    throw new WaymarkError(
      'denied',
      `etcd on ${host} would be open to everyone who reaches its ports: they carry no password and no TLS. Give the ` +
        'members certificates (tlsCert, tlsKey, tlsCa), or pass insecure where the network itself is trusted',
    );
  }
  return settings;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function entryOf(query: URLSearchParams): ClusterTarget['entry'] {
  const from = query.get('join');
  const token = query.get('token');
  if ((from === null) !== (token === null)) throw invalid('join and token go together');
  if (from === null || token === null) return flag(query, 'init') === true ? 'init' : null;
  if (query.has('init')) throw invalid('take init or join, not both');
  return { from, token };
}

function settingsOf(query: URLSearchParams): MemberSettings {
  const text = (name: string): string | undefined => query.get(name) ?? undefined;
  const file = (name: string): string | undefined =>
    query.has(name) ? resolve(query.get(name) ?? '') : undefined;
  const number = (name: string): number | undefined =>
    query.has(name) ? Number(query.get(name)) : undefined;
  return {
    name: text('name'),
    memory: flag(query, 'memory'),
    advertise: text('advertise'),
    bind: text('bind'),
    clientPort: number('clientPort'),
    peerPort: number('peerPort'),
    tlsCert: file('tlsCert'),
    tlsKey: file('tlsKey'),
    tlsCa: file('tlsCa'),
  };
}

function autoRecoverOf(query: URLSearchParams): number | null {
  const text = query.get('autoRecover');
  if (text === null || text === 'false') return null;
  const ms = text === '' || text === 'true' ? autoRecover.defaultMs : Number(text);
  if (Number.isInteger(ms) && ms >= autoRecover.leastMs) return ms;
  throw invalid(`autoRecover is at least ${autoRecover.leastMs} ms, not '${text}'`);
}

function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (text === '' || text === 'true') return true;
  if (text === 'false') return false;
  throw invalid(`${name} is true or false, not '${text}'`);
}

function invalid(why: string): WaymarkError {
  return new WaymarkError('invalid', `${why}: write ${form}`);
}
