import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Reply } from 'waymark';

const program = fileURLToPath(new URL('../dist/messages/member.js', import.meta.url));

/** What a process with members is asked to do; each is answered by its number. */
export type Asked =
  | {
      readonly call: 'join';
      readonly id: string;
      readonly listen?: string | undefined;
      readonly token?: string | undefined;
      readonly lead?: boolean | undefined;
    }
  | { readonly call: 'sendTo'; readonly from: string; readonly to: string; readonly body: unknown }
  | { readonly call: 'broadcast'; readonly from: string; readonly body: unknown }
  | { readonly call: 'leave'; readonly id: string }
  | { readonly call: 'connections' };

/** A client of a server, in a process of its own, with any number of members of one group. */
export class MemberProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  #asked = 0;
  readonly #waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>();

  constructor(url: string) {
    this.child = fork(program, [url], { env: { ...process.env, NODE_NO_WARNINGS: '1' } });
    this.child.on('message', (told: { number: number; value?: unknown; error?: string }) => {
      this.#waiting.get(told.number)?.(told);
      this.#waiting.delete(told.number);
    });
    this.child.once('exit', () => {
      for (const settle of this.#waiting.values()) settle({ error: 'the process ended' });
    });
  }

  /** @returns `host:port` where it listens */
  join(asked: Omit<Extract<Asked, { call: 'join' }>, 'call'>): Promise<string | null> {
    return this.#ask({ call: 'join', ...asked });
  }

  sendTo(from: string, to: string, body: unknown): Promise<Reply> {
    return this.#ask({ call: 'sendTo', from, to, body });
  }

  broadcast(from: string, body: unknown): Promise<readonly Reply[]> {
    return this.#ask({ call: 'broadcast', from, body });
  }

  leave(id: string): Promise<void> {
    return this.#ask({ call: 'leave', id });
  }

  /** How many TCP connections this process has made since it began, the one to the server included. */
  connections(): Promise<number> {
    return this.#ask({ call: 'connections' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await ended;
  }

  #ask<T>(asked: Asked): Promise<T> {
    const number = ++this.#asked;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, ({ value, error }) =>
        error === undefined ? resolve(value as T) : reject(new Error(error)),
      );
      this.child.send({ number, ...asked });
    });
  }
}
