import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Space } from 'waymark';
import { FaultProxy } from '../faults/proxy.js';
import type { SeededRandom } from '../faults/random.js';
import type { ServerProcess } from '../faults/server-process.js';
import type { CandidateTask } from './candidate.js';
import { monotonicMs, type Told } from './told.js';

const program = fileURLToPath(new URL('../dist/elections/candidate.js', import.meta.url));
export const ttlMs = 2_000;
const candidatesEach = 3;

export type Fault = 'kill' | 'pause' | 'cut';

export interface Takeover {
  readonly fault: Fault;
  readonly ms: number;
}

export interface Reign {
  readonly term: number;
  readonly electedAt: number;
  readonly by: Candidate;
  over?: { readonly believedAt: number; readonly signalAt: number };
}

/** A process that stands, reached by the server through a proxy that can be cut. */
class Candidate {
  readonly child: ChildProcess;
  readonly proxy: FaultProxy;

  constructor(child: ChildProcess, proxy: FaultProxy) {
    this.child = child;
    this.proxy = proxy;
  }

  async end(): Promise<void> {
    const { child } = this;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await gone;
    }
    await this.proxy[Symbol.asyncDispose]();
  }
}

/** One election with its candidates, and all that was told of it. */
export class Contest {
  readonly reigns: Reign[] = [];
  readonly takeovers: Takeover[] = [];
  /** Terms as an observer saw them. */
  readonly observed: number[] = [];
  readonly path: string;
  readonly #accepted: string | undefined;
  readonly #server: ServerProcess;
  readonly #candidates = new Set<Candidate>();
  #heard: (() => void)[] = [];

  /** @param accepted  where members of a group note the messages they accept; absent: candidates of an election */
  constructor(server: ServerProcess, path: string, accepted?: string) {
    this.#server = server;
    this.path = path;
    this.#accepted = accepted;
  }

  /** Strikes one leader after the other. */
  async run(space: Space, faults: readonly Fault[], random: SeededRandom): Promise<void> {
    const stop = this.#observe(space);
    for (let i = 0; i < candidatesEach; i++) await this.#add();
    await this.#until(() => this.reigns.length === 1);
    try {
      for (const fault of faults) {
        await sleep(random.below(ttlMs / 2));
        await this.#strike(fault);
      }
      await this.#until(() => this.observed.length === this.reigns.length);
    } finally {
      for (const candidate of this.#candidates) await candidate.end();
      await stop();
    }
  }

  /** @returns once somebody else leads, and the one that was hit stands again, or another in its stead */
  async #strike(fault: Fault): Promise<void> {
    const reign = this.reigns.at(-1) as Reign;
    const { child, proxy } = reign.by;
    const begun = this.reigns.length;
    const struckAt = monotonicMs();
    if (fault === 'kill') child.kill('SIGKILL');
    if (fault === 'pause') child.kill('SIGSTOP');
    if (fault === 'cut') {
      proxy.refuse = true;
      proxy.cutAll();
    }
    await this.#until(() => this.reigns.length > begun);
    const next = this.reigns[begun] as Reign;
    this.takeovers.push({ fault, ms: next.electedAt - struckAt });
    if (fault === 'kill') {
      this.#candidates.delete(reign.by);
      await reign.by.end();
      return await this.#add();
    }
    if (fault === 'pause') child.kill('SIGCONT');
    else proxy.heal();
    await this.#until(() => reign.over !== undefined);
  }

  async #add(): Promise<void> {
    const proxy = await FaultProxy.open(this.#server.url);
    const { path } = this;
    const task: CandidateTask = { url: proxy.url, path, ttlMs, accepted: this.#accepted };
    const child = fork(program, [JSON.stringify(task)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const candidate = new Candidate(child, proxy);
    this.#candidates.add(candidate);
    child.on('message', (told) => this.#hear(candidate, told as Told));
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) =>
        reject(new Error(`a candidate ended with ${code}: is the build there (npx tsc -b)?`)),
      );
    });
  }

  #hear(by: Candidate, told: Told): void {
    if (told.kind === 'elected') this.reigns.push({ term: told.term, electedAt: told.at, by });
    if (told.kind === 'over') {
      const { term, believedAt, signalAt } = told;
      const reign = this.reigns.find((one) => one.term === term && one.by === by);
      if (reign !== undefined) reign.over = { believedAt, signalAt };
    }
    this.#wake();
  }

  #wake(): void {
    for (const heard of this.#heard.splice(0)) heard();
  }

  /** @returns ends it */
  #observe(space: Space): () => Promise<void> {
    const ended = new AbortController();
    const observing = (async () => {
      for await (const term of this.#termsSeenBy(space, ended.signal)) {
        if (term !== this.observed.at(-1)) this.observed.push(term);
        this.#wake();
      }
    })().catch((error: unknown) => {
      if (!ended.signal.aborted) throw error;
    });
    return async () => {
      ended.abort();
      await observing;
    };
  }

  async *#termsSeenBy(space: Space, signal: AbortSignal): AsyncIterable<number> {
    const ns = space.namespace('elections');
    if (this.#accepted === undefined) {
      for await (const leader of ns.election(this.path).observe({ signal })) {
        if (leader !== null) yield leader.term;
      }
      return;
    }
    for await (const { leader } of ns.members(this.path).watch({ signal })) {
      if (leader !== null) yield leader.term;
    }
  }

  async #until(fact: () => boolean): Promise<void> {
    while (!fact()) await new Promise<void>((resolve) => this.#heard.push(resolve));
  }
}
