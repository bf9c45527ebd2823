import type { Clock, Random } from '../core/clock.js';
import type { Engine } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { openEtcdEngine } from '../engines/etcd/etcd-engine.js';
import { admit } from './admission.js';
import { ClusterEngine } from './cluster-engine.js';
import { etcdUrl, schemeOf } from './cluster-tls.js';
import { type ClusterTarget, isLoopback } from './cluster-url.js';
import { type Control, startControl } from './control.js';
import type { ClusterState, MemberHealth } from './health.js';
import type { JoinGrant, JoinRequest } from './join.js';
import { leave, type LeaveRequest } from './leave.js';
import { clusterRoot, type MemberFile } from './member-file.js';
import { finishRecovery, recover } from './recover.js';
import type { Supervisor } from './supervisor.js';
import { countTokens, createToken } from './tokens.js';

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

export interface MemberParts {
  readonly target: ClusterTarget;
  readonly version: string;
  readonly supervisor: Supervisor;
  readonly lock: AsyncDisposable;
  readonly clock: Clock;
  readonly random: Random;
  readonly told: (message: string) => void;
}

const tendEachMs = 1_000;

/** What runs in a directory: the supervisor of its etcd, the engine over it, and the ear for what it is told. */
export class Member {
  readonly #parts: MemberParts;
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
    if (isOpen(supervisor.file)) told(openWarning(supervisor.file));
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
    this.#tend();
    this.#engine = new ClusterEngine(await this.#firstEngine(signal), { clock, why, close });
    return {
      engine: this.#engine,
      gone: supervisor.gone,
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
      try {
        if (supervisor.file.recovering) await finishRecovery(this.#parts);
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
    const url = etcdUrl(supervisor.addresses, supervisor.file, { root: clusterRoot });
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
    const scheme = schemeOf(supervisor.file);
    const asked = {
      clock,
      told,
      clusterToken,
      scheme,
      withClient: supervisor.withClient.bind(supervisor),
    };
    return await admit(asked, request);
  }

  async #leave(request: LeaveRequest): Promise<string> {
    return await leave(this.#parts.supervisor, request);
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

  /** Ends a recovery that was interrupted; begins one only for who was told to, and long after the last sign of any other. */
  #tend(): void {
    const { target, supervisor, clock, told } = this.#parts;
    if (this.#closed !== null) return;
    const { autoRecoverMs } = target;
    const { state } = supervisor.health;
    const alone = autoRecoverMs !== null && supervisor.downMs >= autoRecoverMs;
    const half = this.#engine !== null && supervisor.file.recovering && state === 'member';
    if (this.#recovery === null && (half || (alone && state === 'no_majority')))
      this.#recover(true).catch((error: unknown) => told(`no recovery: ${messageOf(error)}`));
    clock.after(tendEachMs, () => this.#tend());
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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

/** Whoever reaches its etcd from another machine can read and write all. */
function isOpen({ tlsCert, advertise, bind }: MemberFile): boolean {
  return tlsCert === undefined && !(isLoopback(advertise) && isLoopback(bind));
}

function openWarning({ name, bind }: MemberFile): string {
  return `the etcd of member ${name} on ${bind} has no TLS and no password: whoever reaches its ports can read and write all, and listen`;
}

function memoryWarning({ name, data }: MemberFile): string {
  return (
    `member ${name} keeps its data in memory (${data}) and never syncs it: what is written lives while one member lives, ` +
    'and is gone when the machines of all lose power'
  );
}
