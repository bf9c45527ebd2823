import type { ClientName } from '../clients/index.js';
import { duel, type Line, type LineResult, type Side } from '../harness/duel.js';
import type { Running } from '../harness/processes.js';
import type { Sample } from '../harness/samples.js';
import { WorkerProcess } from '../harness/worker-process.js';

export interface SuiteCall {
  readonly peers: boolean;
  /** The long form, where a suite has one. */
  readonly long: boolean;
  /** Only lines whose name contains this. */
  readonly only: string | undefined;
  readonly rounds: number;
}

/** Servers and workers of a suite: each started once, when first asked for, and all ended with it. */
export class Stage implements AsyncDisposable {
  readonly call: SuiteCall;
  readonly results: LineResult[] = [];
  readonly #servers = new Map<string, Promise<Running>>();
  readonly #workers = new Map<string, WorkerProcess>();

  constructor(call: SuiteCall) {
    this.call = call;
  }

  server(name: string, start: () => Promise<Running>): Promise<Running> {
    let server = this.#servers.get(name);
    if (server === undefined) this.#servers.set(name, (server = start()));
    return server;
  }

  worker(name: string, execArgv: readonly string[] = []): WorkerProcess {
    let worker = this.#workers.get(name);
    if (worker === undefined) this.#workers.set(name, (worker = new WorkerProcess(execArgv)));
    return worker;
  }

  /** A side whose client runs one workload in a worker of its own. */
  side(name: string, client: ClientName, address: string, workload: string, params: object): Side {
    const worker = this.worker(`${client} ${address}`);
    return { name, run: () => worker.run<Sample>(workload, { client, address, ...params }) };
  }

  /** One line of the suite. `peers` are only started with --peers. */
  async line(
    name: string,
    unit: string,
    ours: () => Promise<readonly Side[]>,
    peers: () => Promise<readonly Side[]>,
    warm = true,
  ): Promise<void> {
    const { only, rounds } = this.call;
    if (only !== undefined && !name.includes(only)) return;
    const line: Line = { line: name, unit, rounds, warm };
    try {
      const sides = [...(await ours()), ...(this.call.peers ? await peers() : [])];
      this.results.push(await duel(line, sides));
    } catch (error) {
      // One line that cannot run must not hide the others; its target is then missing from the table.
      process.exitCode = 1;
      process.stdout.write(`\n${name}: FAILED ${String(error)}\n`);
    }
  }

  /** Between lines that need a machine to themselves. */
  async clear(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop()));
    this.#workers.clear();
    for (const server of await Promise.allSettled(this.#servers.values())) {
      if (server.status === 'fulfilled') await server.value.stop();
    }
    this.#servers.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear();
  }
}

export const none = async (): Promise<readonly Side[]> => [];
