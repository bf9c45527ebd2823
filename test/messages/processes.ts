import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CrewTask } from './crew.js';

const program = (name: string): string =>
  fileURLToPath(new URL(`../dist/messages/${name}.js`, import.meta.url));

/** A process of the tests, ended by its id. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.process = process;
  }

  /** @returns the child, and the first that it told */
  static async start<T>(name: string, task: string): Promise<{ child: Child; told: T }> {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    const child = new Child(fork(program(name), [task], { stdio: [...stdio] }));
    return { child, told: (await child.hears()) as T };
  }

  /** @returns what it tells next */
  hears(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const gone = (): void =>
        reject(new Error('a process ended: is the build there (npx tsc -b)?'));
      this.process.once('exit', gone);
      this.process.once('message', (told) => {
        this.process.off('exit', gone);
        resolve(told);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { process } = this;
    if (process.exitCode !== null || process.signalCode !== null) return;
    const gone = new Promise((resolve) => process.once('exit', resolve));
    process.kill('SIGKILL');
    await gone;
  }
}

/** Servers over one engine, in one process. */
export async function startServers(count: number): Promise<{ child: Child; urls: string[] }> {
  const { child, told } = await Child.start<string[]>('servers', String(count));
  return { child, urls: told };
}

export async function startCrew(task: CrewTask): Promise<Child> {
  return (await Child.start('crew', JSON.stringify(task))).child;
}
