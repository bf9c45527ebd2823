import { rmSync } from 'node:fs';
import type { Clock, Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import { EtcdClient } from '../engines/etcd/etcd-client.js';
import { parseEtcdUrl } from '../engines/etcd/etcd-url.js';
import { loadGrpc } from '../engines/etcd/grpc.js';
import { pause } from '../core/pause.js';
import { etcdUrl } from './cluster-tls.js';
import { etcdFlags } from './etcd-binary.js';
import { clientAddresses, promote, removed, withClient } from './etcd-members.js';
import { EtcdProcess } from './etcd-process.js';
import { type Health, look } from './health.js';
import { clientAddress, type MemberFile, writeMemberFile } from './member-file.js';

export interface SupervisorOptions {
  readonly directory: string;
  readonly file: MemberFile;
  readonly binary: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly told: (message: string) => void;
}

const lookMs = 500;
const ownMs = 1_000;
const probeMs = 1_000;
const promoteMs = 2_000;
const tellEachMs = 10_000;
/** An etcd that ends so often in a row, and has never answered, will not answer. */
const failuresMax = 3;

/**
 * Keeps the etcd of one member running, and knows how its cluster is. It decides nothing: who is a member, who leads and what is written is
 * etcd's own business.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #process: EtcdProcess;
  readonly #own: EtcdClient;
  readonly #stopped = new AbortController();
  readonly #gone = new AbortController();
  readonly #followers = new Set<(addresses: readonly string[]) => void>();
  /** It has asked to be removed. */
  leaving = false;
  #file: MemberFile;
  #health: Health = { state: 'starting', own: null, members: [], why: null };
  #loop: Promise<void> | null = null;
  #looked: (() => void)[] = [];
  #answered = false;
  #published = '';
  /** When the majority was last there, by the clock. */
  #wellAt: number;

  private constructor(options: SupervisorOptions, own: EtcdClient) {
    this.#options = options;
    this.#own = own;
    this.#file = options.file;
    this.#wellAt = options.clock.now();
    const { binary, directory, clock, told } = options;
    const { data } = options.file;
    this.#process = new EtcdProcess({ binary, directory, data, clock, told });
  }

  /** @throws {WaymarkError} `taken`, `invalid` for the missing package of gRPC */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const address = clientAddress(options.file);
    const target = parseEtcdUrl(etcdUrl([address], options.file, { timeoutMs: ownMs }));
    const own = new EtcdClient(await loadGrpc(), target, options);
    const supervisor = new Supervisor(options, own);
    await supervisor.#process.start(etcdFlags(options.file));
    supervisor.#loop = supervisor.#watch();
    return supervisor;
  }

  get file(): MemberFile {
    return this.#file;
  }

  get health(): Health {
    return this.#health;
  }

  get etcdPid(): number | null {
    return this.#process.pid;
  }

  /** How long there has been no majority; 0 when all is well. */
  get downMs(): number {
    return this.#health.state === 'member' ? 0 : this.#options.clock.now() - this.#wellAt;
  }

  /** `host:port` of the members, the best first: this one while its etcd answers, then those that did when last asked. */
  get addresses(): readonly string[] {
    const own = clientAddress(this.#file);
    const { members, state } = this.#health;
    const silent = new Set(
      members.filter(({ answers }) => !answers).flatMap((member) => clientAddresses([member])),
    );
    const others = clientAddresses(this.#file.members).filter((address) => address !== own);
    const sorted = [
      ...others.filter((address) => !silent.has(address)),
      ...others.filter((address) => silent.has(address)),
    ];
    return state === 'starting' ? [...sorted, own] : [own, ...sorted];
  }

  /** Told of the members' addresses: now, and whenever they change. @returns ends that */
  follow(changed: (addresses: readonly string[]) => void): () => void {
    this.#followers.add(changed);
    changed(this.addresses);
    return () => void this.#followers.delete(changed);
  }

  /** Asks all members. One that does not answer within `withinMs` counts as silent. */
  async ask(withinMs: number = probeMs): Promise<Health> {
    return await look(this.#file, this.#own, { ...this.#options, thorough: true, withinMs });
  }

  /** Runs work with a client on all members. */
  async withClient<T>(work: (client: EtcdClient) => Promise<T>, timeoutMs = 5_000): Promise<T> {
    return await this.with(this.addresses, timeoutMs, work);
  }

  /** The same, on these members. */
  async with<T>(
    addresses: readonly string[],
    timeoutMs: number,
    work: (client: EtcdClient) => Promise<T>,
  ): Promise<T> {
    return await withClient(addresses, timeoutMs, this.#options, work);
  }

  /**
   * @returns once it is a voting member of a cluster with a leader
   * @throws {WaymarkError} `unavailable` when etcd does not start, with the end of its log; `superseded` for one that was removed
   */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    const { clock, told } = this.#options;
    const since = clock.now();
    for (let toldAt = since; this.#health.state !== 'member';) {
      await this.#nextLook(signal);
      this.#refuseHopeless();
      const { why } = this.#health;
      if (clock.now() - toldAt < tellEachMs || why === null) continue;
      toldAt = clock.now();
      told(`waiting: ${why}`);
    }
  }

  update(changes: Partial<MemberFile>): void {
    this.#file = { ...this.#file, ...changes };
    writeMemberFile(this.#options.directory, this.#file);
  }

  /** It is no member any more; nobody needs its data. */
  async left(): Promise<void> {
    this.update({ gone: 'left' });
    await this.#process.stop('SIGKILL');
    this.#gone.abort(removed('left'));
  }

  /** Aborts when it is no member any more, and its etcd is ended. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Starts etcd again, with these flags once. */
  async restart(once: readonly string[]): Promise<void> {
    await this.#process.stop();
    await this.#process.start(etcdFlags(this.#file), once);
  }

  /** Ends etcd, for good when it is no member any more. */
  async close(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort(new WaymarkError('unavailable', 'the member is closed'));
    await this.#loop;
    this.#own.close();
    await this.#process.stop();
    if (this.#file.gone === 'left') rmSync(this.#file.data, { recursive: true, force: true });
  }

  async #nextLook(signal: AbortSignal | undefined): Promise<void> {
    this.#stopped.signal.throwIfAborted();
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(signal?.reason as Error);
      signal?.addEventListener('abort', abort, { once: true });
      this.#looked.push(() => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
    });
  }

  #refuseHopeless(): void {
    const { state, why } = this.#health;
    if (state === 'removed' || state === 'left') throw new WaymarkError('superseded', why ?? state);
    if (this.#answered || this.#process.failures < failuresMax) return;
    throw new WaymarkError('unavailable', `etcd does not start: ${this.#process.log()}`);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const options = { ...this.#options, thorough: false, withinMs: probeMs };
      const health = await look(this.#file, this.#own, options);
      if (signal.aborted) break;
      try {
        this.#note(health);
      } catch (error) {
        this.#options.told(`cannot write what is known of the cluster: ${String(error)}`);
      }
      if (health.state === 'learner') await this.#promote().catch(() => undefined);
      for (const looked of this.#looked.splice(0)) looked();
      await pause(this.#options.clock, lookMs, signal, true).catch(() => undefined);
    }
    for (const looked of this.#looked.splice(0)) looked();
  }

  #note(health: Health): void {
    const { clock, told } = this.#options;
    const before = this.#health;
    this.#health = health;
    if (health.own !== null) this.#answered = true;
    if (health.state === 'member') {
      this.#wellAt = clock.now();
      const members = health.members.map(({ answers: _, leads: __, ...peer }) => peer);
      const known = { id: health.own?.id ?? null, members, started: true };
      const { id, started } = this.#file;
      const same = JSON.stringify({ id, members: this.#file.members, started });
      if (same !== JSON.stringify(known)) this.update(known);
    }
    if (health.state === 'removed' && this.#file.gone === null && !this.leaving)
      void this.#removed();
    if (health.state !== before.state)
      told(health.why ?? `member ${this.#file.name}: ${health.state}`);
    this.#publish();
  }

  async #removed(): Promise<void> {
    this.update({ gone: 'removed' });
    await this.#process.stop('SIGKILL');
    this.#gone.abort(removed());
  }

  #publish(): void {
    const { addresses } = this;
    const published = addresses.join();
    if (published === this.#published) return;
    this.#published = published;
    for (const changed of this.#followers) changed(addresses);
  }

  /** By the others: a learner takes no such calls. */
  async #promote(): Promise<void> {
    const { id, members } = this.#file;
    const others = clientAddresses(members).filter((a) => a !== clientAddress(this.#file));
    const own = this.#health.own?.id ?? id;
    if (own === null || others.length === 0) return;
    await withClient(others, promoteMs, this.#options, (client) => promote(client, own));
  }
}
