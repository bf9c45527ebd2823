import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { createServer, isIP } from 'node:net';
import { join } from 'node:path';
import type { Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { isLoopback, type MemberSettings } from './cluster-url.js';
import { askToJoin } from './join.js';
import { type MemberFile, peerUrl, readMemberFile, writeMemberFile } from './member-file.js';

const tmpfs = { directory: '/dev/shm', magic: 0x01021994 } as const;

export interface PrepareOptions {
  readonly directory: string;
  readonly settings: MemberSettings;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes the directory that of the first member of a new cluster.
 *
 * @throws {WaymarkError} `taken` when it is a member's already; `invalid`
 */
export async function initMember(options: PrepareOptions): Promise<MemberFile> {
  const { directory, random } = options;
  refuseMember(readMemberFile(directory), directory);
  const member = await newMember(options);
  const initialCluster = `${member.name}=${peerUrl(member)}`;
  const made = { ...member, clusterToken: random.id(), cluster: 'new', initialCluster } as const;
  writeMemberFile(directory, made);
  return made;
}

/**
 * Makes the directory that of one more member: a server of the cluster adds it as a learner, once, for the token.
 *
 * @throws {WaymarkError} `taken` when it is a member's already; `unauthenticated` for the token; `unavailable`
 */
export async function joinMember(
  options: PrepareOptions & { readonly from: string; readonly token: string },
): Promise<MemberFile> {
  const { directory, from, token, signal } = options;
  const before = readMemberFile(directory);
  if (before !== null && isMember(before)) refuseMember(before, directory);
  const member = await newMember(options);
  const { name } = member;
  const request = { token, name, peerUrl: peerUrl(member) };
  const { id, clusterToken, members } = await askToJoin(from, request, signal);
  const initialCluster = members
    .flatMap((peer) =>
      peer.peerUrls.map((url) => `${peer.id === id ? name : peer.name || peer.id}=${url}`),
    )
    .join(',');
  // What an earlier membership left is of no use to this one, and etcd would go on with it.
  for (const data of [before?.data, member.data]) {
    if (data !== undefined) rmSync(data, { recursive: true, force: true });
  }
  const made = {
    ...member,
    id,
    clusterToken,
    cluster: 'existing',
    initialCluster,
    members,
  } as const;
  writeMemberFile(directory, made);
  return made;
}

/** @throws {WaymarkError} `invalid` when a setting is given that the member was not made with */
export function refuseOtherSettings(member: MemberFile, settings: MemberSettings): void {
  for (const [name, value] of Object.entries(settings)) {
    const made = member[name as keyof MemberSettings];
    if (value === undefined || value === made) continue;
    throw new WaymarkError(
      'invalid',
      `this member was made with ${name} ${made}, not ${value}: let it leave, and join again, to change it`,
    );
  }
}

/** It has not left, and has what it may have voted by. */
export function isMember({ started, data, gone }: MemberFile): boolean {
  return gone === null && (!started || existsSync(join(data, 'member')));
}

/** @throws {WaymarkError} `corrupt` when it would begin with nothing under an id that has voted */
export function refuseLostData(member: MemberFile): void {
  if (isMember(member)) return;
  const { data, memory, name } = member;
  const where = memory ? `was in memory (${data}), and is gone with it` : `in ${data} is gone`;
  throw new WaymarkError(
    'corrupt',
    `the data of member ${name} ${where}. On another member: \`waymark cluster leave DIR --member ${name}\`; then join with a new token`,
    { file: data },
  );
}

function refuseMember(member: MemberFile | null, directory: string): void {
  if (member === null) return;
  const text = `${directory} is that of member ${member.name} already: \`waymark serve --cluster ${directory}\` starts it`;
  throw new WaymarkError('taken', text, { file: directory });
}

async function newMember({ directory, settings, random }: PrepareOptions): Promise<MemberFile> {
  const { name = `m-${random.id().replace(/\W/g, '').slice(0, 8)}`, memory = false } = settings;
  const { advertise = '127.0.0.1', bind = bindOf(advertise) } = settings;
  const clientPort = settings.clientPort ?? (await freePort(bind, random));
  const peerPort = settings.peerPort ?? (await freePort(bind, random, clientPort));
  const { tlsCert, tlsKey, tlsCa } = settings;
  return {
    format: 1,
    ...{ name, memory, advertise, bind, clientPort, peerPort },
    ...{ tlsCert, tlsKey, tlsCa },
    data: memory ? memoryDirectory(name) : join(directory, 'etcd'),
    clusterToken: '',
    cluster: 'new',
    initialCluster: '',
    id: null,
    started: false,
    gone: null,
    recovering: false,
    members: [],
  };
}

/** etcd listens on addresses, never on names. */
function bindOf(advertise: string): string {
  if (isIP(advertise) !== 0) return advertise;
  return isLoopback(advertise) ? '127.0.0.1' : '0.0.0.0';
}

function memoryDirectory(name: string): string {
  let magic = 0;
  try {
    magic = statfsSync(tmpfs.directory).type;
  } catch {
    // Told below.
  }
  if (magic === tmpfs.magic) return mkdtempSync(join(tmpfs.directory, `waymark-${name}-`));
  const text = `data in memory needs a tmpfs at ${tmpfs.directory}, and there is none: take a disk`;
  throw new WaymarkError('invalid', text);
}

/** A member keeps its ports: Linux gives none of these to a connection that goes out, which would bar it when it starts again. */
const ports = { first: 20_000, last: 32_767 };

async function freePort(host: string, random: Random, but?: number): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = ports.first + Math.floor(random.next() * (ports.last - ports.first + 1));
    const failure = await failureToListen(host, port);
    if (failure === null && port !== but) return port;
    if (failure !== null && (failure.code !== 'EADDRINUSE' || tries === 100))
      throw new WaymarkError('invalid', `cannot listen on ${host}`, {}, failure);
  }
}

function failureToListen(host: string, port: number): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, host, () => server.close(() => resolve(null)));
  });
}
