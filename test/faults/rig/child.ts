import type { ChildProcess } from 'node:child_process';
import { endProcess, type Host } from './namespaces.js';

const complaintMax = 4_000;

/** A program of the tests on a host of the rig, spoken to in turns: each order is answered by one message. */
export class Child<Order, Answer> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #name: string;
  /** The last it complained of: why it ended. */
  #complaint = '';
  /** It has ended, and all it said was read. */
  #over = false;

  private constructor(child: ChildProcess, name: string) {
    this.#process = child;
    this.#name = name;
    child.once('close', () => (this.#over = true));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      process.stderr.write(text);
      this.#complaint = `${this.#complaint}${text}`.slice(-complaintMax);
    });
  }

  /** @param program  a file of the build. @returns the child, and the first thing it said */
  static async start<Order, Answer, First>(
    host: Host,
    program: string,
    args: readonly string[] = [],
  ): Promise<[Child<Order, Answer>, First]> {
    const command = [process.execPath, program, ...args];
    const child = new Child<Order, Answer>(
      host.spawn(command, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] }),
      program,
    );
    return [child, (await child.#answer()) as First];
  }

  async ask(order: Order): Promise<Answer> {
    const answer = this.#answer();
    // Who has ended is told of by the answer.
    this.#process.send(order as object, () => {});
    return (await answer) as Answer;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endProcess(this.#process, 'SIGKILL');
  }

  #answer(): Promise<unknown> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const ended = (): void => {
        const how = `code ${child.exitCode}, signal ${child.signalCode}`;
        const text = `${this.#name} ended (${how}); was the build made (npm run build)?`;
        reject(new Error(`${text}\n${this.#complaint}`));
      };
      if (this.#over) return ended();
      child.once('close', ended);
      child.once('message', (message) => {
        child.off('close', ended);
        resolve(message);
      });
    });
  }
}
