import { mkdirSync } from 'node:fs';
import type { Clock, Random } from '../core/clock.js';
import type { Engine } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { openEtcdEngine } from '../engines/etcd/etcd-engine.js';
import { lockDirectory } from '../engines/kit/directory-lock.js';
import { admit } from './admission.js';
import { ClusterEngine } from './cluster-engine.js';
import { type ClusterTarget, parseClusterUrl } from './cluster-url.js';
import { type Control, socketPath, startControl } from './control.js';
import { etcdVersion } from './etcd-binary.js';
import { removed } from './etcd-members.js';
import type { ClusterState, MemberHealth } from './health.js';
import type { JoinGrant, JoinRequest } from './join.js';
import { leave, type LeaveRequest } from './leave.js';
import { clusterRoot, type MemberFile, readMemberFile } from './member-file.js';
import {
  initMember,
  isMember,
  joinMember,
  type PrepareOptions,
  refuseLostData,
  refuseOtherSettings,
} from './prepare.js';
import { finishRecovery, recover } from './recover.js';
import { Supervisor } from './supervisor.js';
import { countTokens, createToken } from './tokens.js';

export interface ClusterOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Told of what an operator should know. Default: silent. */
  readonly told?: ((message: string) => void) | undefined;
  /** Ends the opening, which else waits for a majority. */
  readonly signal?: AbortSignal | undefined;
}

export interface ClusterStatus {
  readonly name: string;
  readonly state: ClusterState;
  /** What is wrong, and what to do; null when nothing is. */
  readonly why: string | null;
  /** Version of etcd. */
  readonly version: string;
  readonly etcdPid: number | null;
  /** The data lies in memory, without fsync: it is gone when all members are at once. */
  readonly memory: boolean;
  readonly autoRecoverMs: number | null;
  readonly members: readonly MemberHealth[];
  /** Tokens that could still be used; null when it cannot be told. */
  readonly tokens: number | null;
}

const autoRecoverEachMs = 1_000;

/** This process's member of a cluster. Disposing the engine ends it, with its etcd; the other members go on. */
export interface Cluster {
  readonly engine: Engine;
  /** Aborts when this member has left, or was removed. */
  readonly gone: AbortSignal;
  status(): Promise<ClusterStatus>;
  /** @throws {WaymarkError} `unavailable` without a majority */
  token(ttlMs: number): Promise<string>;
  /** Lets another member in. @throws {WaymarkError} `unauthenticated`, `conflict`, `invalid`, `unavailable` */
  admit(request: JoinRequest): Promise<JoinGrant>;
}

/**
 * Starts the member of a directory: its etcd, and the engine over it.
 *
 * @param url  `cluster:DIR[?init | join=URL&token=TOKEN][&…]`
 * @throws {WaymarkError} `invalid` for the URL, the binary, or a directory that is no member's; `taken` when another process has it;
 *   `unavailable` when etcd does not start; `superseded` when it is no member any more; as `joinMember`
 */
export async function openCluster(url: string, options: ClusterOptions = {}): Promise<Cluster> {
  const target = parseClusterUrl(url);
  const { clock = systemClock, random = systemRandom, told = () => {}, signal } = options;
  signal?.throwIfAborted();
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

interface MemberParts {
  readonly target: ClusterTarget;
  readonly version: string;
  readonly supervisor: Supervisor;
  readonly lock: AsyncDisposable;
  readonly clock: Clock;
  readonly random: Random;
  readonly told: (message: string) => void;
}

class Member {
  readonly #parts: MemberParts;
  readonly #gone = new AbortController();
  #engine: ClusterEngine | null = null;
  #control: Control | null = null;
  #closed: Promise<void> | null = null;
  #recovery: Promise<void> | null = null;
  /** Recoveries that were done. */
  #recovered = 0;

  constructor(parts: MemberParts) {
    this.#parts = parts;
  }

  async open(signal: AbortSignal | undefined): Promise<Cluster> {
    const { supervisor, target, told, clock } = this.#parts;
    const { autoRecoverMs } = target;
    if (supervisor.file.memory) told(memoryWarning(supervisor.file));
    if (autoRecoverMs !== null) told(autoRecoverWarning(autoRecoverMs));
    // Before there is a majority: a survivor that was started again is recovered by it.
    this.#control = await startControl(target, {
      status: () => this.#status(),
      token: (ttlMs) => this.#token(ttlMs),
      leave: (request) => this.#leave(request),
      recover: (yes) => this.#recover(yes),
      join: (request) => this.#admit(request),
    });
    const why = (): string | null => supervisor.health.why;
    const close = (): Promise<void> => this.close();
    this.#autoRecover();
    this.#engine = new ClusterEngine(await this.#firstEngine(signal), { clock, why, close });
    return {
      engine: this.#engine,
      gone: this.#gone.signal,
      status: () => this.#status(),
      token: (ttlMs) => this.#token(ttlMs),
      admit: (request) => this.#admit(request),
    };
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const { supervisor, lock } = this.#parts;
    await this.#control?.close();
    await supervisor.close();
    await lock[Symbol.asyncDispose]();
  }

  /** Waits for a majority, and for a recovery, should there be one. */
  async #firstEngine(signal: AbortSignal | undefined): Promise<Engine> {
    const { supervisor } = this.#parts;
    for (;;) {
      await supervisor.ready(signal);
      await this.#recovery?.catch(() => undefined);
      const recovered = this.#recovered;
      if (supervisor.file.recovering) await finishRecovery(this.#parts);
      try {
        const engine = await this.#openEngine();
        if (recovered === this.#recovered) return engine;
        await engine[Symbol.asyncDispose]();
      } catch (error) {
        if (!isWaymarkError(error, 'unavailable')) throw error;
      }
    }
  }

  async #openEngine(): Promise<Engine> {
    const { supervisor, clock, random } = this.#parts;
    const url = `etcd://${supervisor.addresses.join(',')}/${clusterRoot}`;
    return await openEtcdEngine(url, {
      clock,
      random,
      follow: (changed) => supervisor.follow(changed),
    });
  }

  async #status(): Promise<ClusterStatus> {
    const { supervisor, version, target } = this.#parts;
    const { members, own, ...seen } = await supervisor.ask();
    const { name, memory, recovering } = supervisor.file;
    const { state, why } = recovering ? underRecovery : seen;
    const tokens =
      state === 'member' ? await supervisor.withClient(countTokens).catch(() => null) : null;
    const { autoRecoverMs } = target;
    const { etcdPid } = supervisor;
    return {
      ...{ name, state, why, version: own?.version ?? version, etcdPid, memory, autoRecoverMs },
      ...{ members, tokens },
    };
  }

  async #token(ttlMs: number): Promise<string> {
    const { supervisor, random } = this.#parts;
    return await supervisor.withClient((client) => createToken(client, random, ttlMs));
  }

  async #admit(request: JoinRequest): Promise<JoinGrant> {
    const { supervisor, clock, told } = this.#parts;
    const { clusterToken } = supervisor.file;
    const asked = { clock, told, clusterToken, withClient: supervisor.withClient.bind(supervisor) };
    return await admit(asked, request);
  }

  async #leave(request: LeaveRequest): Promise<string> {
    const left = await leave(this.#parts.supervisor, request);
    if (left.self) this.#gone.abort(new WaymarkError('superseded', 'this member has left'));
    return left.name;
  }

  async #recover(yes: boolean): Promise<string> {
    if (this.#recovery !== null)
      throw new WaymarkError('conflict', 'a recovery is under way: wait for it');
    this.#recovery = this.#doRecover(yes).finally(() => (this.#recovery = null));
    await this.#recovery;
    return this.#parts.supervisor.file.name;
  }

  async #doRecover(yes: boolean): Promise<void> {
    const begun = (): void => this.#engine?.suspend(true);
    await recover({ ...this.#parts, yes, begun });
    this.#recovered++;
    this.#engine?.replace(await this.#openEngine());
  }

  /** Only who was told to, and long after the last sign of any other. */
  #autoRecover(): void {
    const { target, supervisor, clock, told } = this.#parts;
    const { autoRecoverMs } = target;
    if (autoRecoverMs === null) return;
    const check = (): void => {
      if (this.#closed !== null) return;
      if (supervisor.health.state === 'no_majority' && supervisor.downMs >= autoRecoverMs) {
        this.#recover(true).catch((error: unknown) => told(`no recovery: ${String(error)}`));
      }
      clock.after(autoRecoverEachMs, check);
    };
    check();
  }
}

function autoRecoverWarning(autoRecoverMs: number): string {
  return (
    `auto-recover is on: after ${autoRecoverMs} ms without any other member this one goes on alone. Should the others live and only be out ` +
    'of reach, two clusters take writes, and what one of them took is lost'
  );
}

const underRecovery = {
  state: 'recovering',
  why: 'a recovery is under way: nothing is read or written until it is done',
} as const;

function memoryWarning({ name, data }: MemberFile): string {
  return (
    `member ${name} keeps its data in memory (${data}) and never syncs it: what is written lives while one member lives, ` +
    'and is gone when the machines of all lose power'
  );
}
