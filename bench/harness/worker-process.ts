import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('worker.js', import.meta.url));

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A contestant's client in a process of its own: nothing of one side shares a heap or an event loop with the other. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: Error) => void }
  >();
  #nextId = 1;
  #ended = false;

  constructor(execArgv: readonly string[] = []) {
    const profile = process.env['BENCH_PROFILE'];
    const profiling =
      profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}/client`];
    this.#child = fork(script, [], {
      execArgv: [...profiling, ...execArgv],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (answer: Answer) => {
      const waiter = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.error === undefined) waiter?.resolve(answer.result as never);
      else waiter?.reject(new Error(answer.error));
    });
    this.#child.on('error', () => undefined);
    this.#child.on('exit', (code) => {
      this.#ended = true;
      for (const { reject } of this.#waiting.values())
        reject(new Error(`the worker ended with ${code}`));
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  run<R>(workload: string, params: object): Promise<R> {
    const id = this.#nextId++;
    return new Promise<R>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, workload, params }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.disconnect();
    const hard = setTimeout(() => this.#child.kill('SIGKILL'), 2_000);
    await ended;
    clearTimeout(hard);
  }
}
