import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { WaymarkError } from '../core/errors.js';
import { schemeOf, type TlsFiles } from './cluster-tls.js';

/** A member as the others see it. */
export interface Peer {
  /** Decimal, as etcd's ids are 64 bits. */
  readonly id: string;
  /** Empty until it has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

/** DIR/member.json: what this directory is a member of, and how it is started. */
export interface MemberFile extends TlsFiles {
  readonly format: 1;
  readonly name: string;
  /** etcd's own `--initial-cluster-token`: random, so that two clusters never take each other for one. */
  readonly clusterToken: string;
  readonly memory: boolean;
  /** Where etcd keeps its data. */
  readonly data: string;
  readonly advertise: string;
  readonly bind: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly cluster: 'new' | 'existing';
  /** `name=peerUrl,…`, for the first start. */
  readonly initialCluster: string;
  /** Null until it is known. */
  readonly id: string | null;
  /** It has been seen with data: should these be gone, it must not begin with none under the same id. */
  readonly started: boolean;
  readonly gone: 'left' | 'removed' | null;
  /** A recovery was begun: nothing may be written before it is finished. */
  readonly recovering: boolean;
  /** The members when last seen, this one among them. */
  readonly members: readonly Peer[];
}

/** Everything of Waymark lies under it in a cluster's etcd. */
export const clusterRoot = 'waymark';
const memberFileName = 'member.json';

/** @returns null when the directory is no member's @throws {WaymarkError} `corrupt` */
export function readMemberFile(directory: string): MemberFile | null {
  const file = join(directory, memberFileName);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new WaymarkError('unavailable', `cannot read ${file}`, { file }, error);
  }
  try {
    const member = JSON.parse(text) as MemberFile;
    if (member.format === 1 && typeof member.name === 'string') return member;
  } catch {
    // Told below.
  }
  throw new WaymarkError('corrupt', `${file} is not what a member wrote`, { file });
}

/** Whole or not at all, whenever the process ends. */
export function writeMemberFile(directory: string, member: MemberFile): void {
  const file = join(directory, memberFileName);
  const handle = openSync(`${file}.new`, 'w', 0o600);
  try {
    writeSync(handle, `${JSON.stringify(member, null, 2)}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${file}.new`, file);
}

export function clientAddress({ advertise, clientPort }: MemberFile): string {
  return hostPort(advertise, clientPort);
}

export function peerUrl(member: MemberFile): string {
  return `${schemeOf(member)}://${hostPort(member.advertise, member.peerPort)}`;
}

export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `host:port` of a URL of etcd. */
export function addressOf(url: string): string {
  return url.replace(/^https?:\/\//, '').replace(/\/$/, '');
}
