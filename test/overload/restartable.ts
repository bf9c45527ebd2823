import { expect } from 'vitest';
import { Command, waymark } from '../support/command.js';

/** A server that can be stopped and started again where it was. */
export class Restartable {
  readonly url: string;
  readonly #engine: string;
  #command: Command | null = null;
  /** Of its stops, in ms. */
  readonly stops: number[] = [];

  constructor(port: number, engine: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.#engine = engine;
  }

  async start(): Promise<void> {
    const listen = this.url.slice('http://'.length);
    const args = ['--json', 'serve', '--listen', listen, '--engine', this.#engine];
    this.#command = new Command(process.execPath, [waymark, ...args, '--no-watchers']);
    await this.#command.says('\n');
  }

  /** As whoever rolls out a new version does it. */
  async stop(): Promise<void> {
    const began = performance.now();
    const { code } = (await this.#command?.stop('SIGTERM')) ?? { code: 0 };
    this.stops.push(performance.now() - began);
    expect(code).toBe(0);
  }

  async kill(): Promise<void> {
    await this.#command?.stop('SIGKILL');
  }
}
