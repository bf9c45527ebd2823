import type { ByteString, CallOptions } from '../core/engine.js';
import { isWaymarkError } from '../core/errors.js';
import { checkWaitMs } from '../recipes/checks.js';
import * as calls from '../recipes/counter.js';
import { waiting } from '../recipes/waiting.js';
import type * as types from './counter-types.js';
import { counterKey, latchKey } from './layout.js';
import type { NamespacePlace } from './namespace.js';
import { pathToBytes } from './paths.js';
import type { Call } from './types.js';

export class HostCounter implements types.Counter {
  readonly path: string;
  readonly #namespace: NamespacePlace;

  constructor(namespace: NamespacePlace, path: string) {
    this.#namespace = namespace;
    this.path = path;
  }

  async add(by = 1, call: Call = {}): Promise<number> {
    const { host, name } = this.#namespace;
    return await host.run(calls.add, name, { path: this.path, by }, call);
  }

  async get(call: Call = {}): Promise<number> {
    const { host, name } = this.#namespace;
    const { entries } = await host.read(name, { key: counterKey(pathToBytes(this.path)) }, call);
    return calls.valueOf(entries[0]);
  }

  async set(
    value: number,
    call: Call & { readonly ifValue?: number | undefined } = {},
  ): Promise<void> {
    const { host, name } = this.#namespace;
    const { ifValue, signal } = call;
    await host.run(calls.set, name, { path: this.path, value, ifValue }, { signal });
  }
}

export class HostLatch implements types.Latch {
  readonly path: string;
  readonly #namespace: NamespacePlace;
  readonly #key: ByteString;

  constructor(namespace: NamespacePlace, path: string) {
    this.#namespace = namespace;
    this.path = path;
    this.#key = latchKey(pathToBytes(path));
  }

  async open(call: Call = {}): Promise<boolean> {
    const { host, name } = this.#namespace;
    return (await host.run(calls.openLatch, name, { path: this.path }, call)).opened;
  }

  async isOpen(call: Call = {}): Promise<boolean> {
    return (await this.#look(call)).open;
  }

  async wait(call: Call & { readonly waitMs?: number | undefined } = {}): Promise<void> {
    const { space } = this.#namespace;
    const { waitMs, signal } = call;
    checkWaitMs(waitMs);
    const ended = space.join(signal);
    const bounds = { path: this.path, waitMs, signal: ended.signal };
    const nothing = async (): Promise<boolean> => true;
    try {
      await waiting(space.clock, bounds, nothing, (until) => this.#opened({ signal: until }));
    } finally {
      ended.leave();
    }
  }

  async #opened(options: CallOptions): Promise<void> {
    const { host, name } = this.#namespace;
    for (;;) {
      const { open, revision } = await this.#look(options);
      if (open) return;
      try {
        const watch = host.watch(name, [{ key: this.#key }], { ...options, after: revision });
        for await (const { changes } of watch) if (changes.some(isPut)) return;
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  async #look(
    options: CallOptions,
  ): Promise<{ readonly open: boolean; readonly revision: number }> {
    const { host, name } = this.#namespace;
    const { entries, revision } = await host.read(name, { key: this.#key }, options);
    return { open: entries.length > 0, revision };
  }
}

function isPut({ kind }: { readonly kind: string }): boolean {
  return kind === 'put';
}
