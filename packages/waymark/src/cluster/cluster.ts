import { mkdirSync } from 'node:fs';
import type { Clock, Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { lockDirectory } from '../engines/kit/directory-lock.js';
import { loadGrpc } from '../engines/etcd/grpc.js';
import { type ClusterTarget, parseClusterUrl } from './cluster-url.js';
import { socketPath } from './control.js';
import { etcdVersion } from './etcd-binary.js';
import { removed } from './etcd-members.js';
import { type Cluster, Member } from './member.js';
import { type MemberFile, readMemberFile } from './member-file.js';
import {
  initMember,
  isMember,
  joinMember,
  type PrepareOptions,
  refuseLostData,
  refuseOtherSettings,
} from './prepare.js';
import { Supervisor } from './supervisor.js';

export interface ClusterOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Told of what an operator should know. Default: silent. */
  readonly told?: ((message: string) => void) | undefined;
  /** Ends the opening, which else waits for a majority. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts the member of a directory: its etcd, and the engine over it.
 *
 * @param url  `cluster:DIR[?init | join=URL&token=TOKEN][&…]`
 * @throws {WaymarkError} `invalid` for the URL, the binary, a missing package, or a directory that is no member's; `taken` when another process has it;
 *   `unavailable` when etcd does not start; `superseded` when it is no member any more; as `joinMember`
 */
export async function openCluster(url: string, options: ClusterOptions = {}): Promise<Cluster> {
  const target = parseClusterUrl(url);
  const { clock = systemClock, random = systemRandom, told = () => {}, signal } = options;
  signal?.throwIfAborted();
  // Before anything is made.
  await loadGrpc('cluster:');
  const version = await etcdVersion(target.etcdBin);
  if (target.entry !== null) makeDirectory(target.directory);
  const lock = await lockMember(target.directory);
  let member: Member | undefined;
  try {
    const file = await fileOf(target, { random, signal });
    const { directory, etcdBin: binary } = target;
    const supervisor = await Supervisor.start({ directory, file, binary, clock, random, told });
    member = new Member({ target, version, supervisor, lock, clock, random, told });
    return await member.open(signal);
  } catch (error) {
    await (member === undefined ? lock[Symbol.asyncDispose]() : member.close());
    throw error;
  }
}

async function lockMember(directory: string): Promise<AsyncDisposable> {
  try {
    return await lockDirectory(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw noMember(directory);
    throw error;
  }
}

async function fileOf(
  { directory, entry, settings }: ClusterTarget,
  { random, signal }: { random: Random; signal: AbortSignal | undefined },
): Promise<MemberFile> {
  const there = readMemberFile(directory);
  const joins = entry !== null && entry !== 'init';
  if (there !== null && !(joins && !isMember(there))) {
    refuseOtherSettings(there, settings);
    if (there.gone !== null) throw removed(there.gone);
    refuseLostData(there);
    return there;
  }
  if (entry === null) throw noMember(directory);
  return await make({ directory, settings, random, signal, entry });
}

export interface MakeMemberOptions extends PrepareOptions {
  readonly entry: 'init' | { readonly from: string; readonly token: string };
}

/**
 * Makes a directory that of a member, which nothing runs yet.
 *
 * @throws {WaymarkError} `taken` when it is one already or another process has it; `unauthenticated` for the token; `unavailable`
 */
export async function makeMember(options: MakeMemberOptions): Promise<MemberFile> {
  makeDirectory(options.directory);
  const lock = await lockDirectory(options.directory);
  try {
    return await make(options);
  } finally {
    await lock[Symbol.asyncDispose]();
  }
}

function makeDirectory(directory: string): void {
  socketPath(directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

async function make({ entry, ...options }: MakeMemberOptions): Promise<MemberFile> {
  return entry === 'init' ? await initMember(options) : await joinMember({ ...options, ...entry });
}

function noMember(directory: string): WaymarkError {
  return new WaymarkError(
    'invalid',
    `${directory} is no member of a cluster: \`waymark cluster init ${directory}\` begins one, \`waymark cluster join\` makes it one more`,
    { file: directory },
  );
}
