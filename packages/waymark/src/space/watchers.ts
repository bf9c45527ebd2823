import type { JoinedSignal } from '../core/joined-signal.js';
import type { CallOptions, Revision } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { RecipeCall } from '../core/recipe-call.js';
import type * as types from '../core/watchers.js';
import * as calls from '../recipes/watchers.js';
import type { HostSpace } from './space.js';

const eventsAtOnce = 1_000;
const waitMs = 30_000;

type Asking<A, R> = RecipeCall<{ readonly ask: string }, R> & { readonly '~asked'?: A };

/** Asks the registry of the host: of a server, or none. */
export class HostWatchers implements types.Watchers {
  readonly #space: HostSpace;

  constructor(space: HostSpace) {
    this.#space = space;
  }

  async add(wish: types.WatcherWish, call?: CallOptions): Promise<types.WatcherAdded> {
    return await this.#ask(calls.add, objectOf(wish), call);
  }

  get(id: string, call?: CallOptions): Promise<types.WatcherInfo | null> {
    return this.#ask(calls.get, { id }, call);
  }

  list({ signal, ...call }: types.WatcherListCall = {}): Promise<types.WatcherPage> {
    return this.#ask(calls.list, call, { signal });
  }

  change(id: string, change: types.WatcherChange, call?: CallOptions): Promise<types.WatcherInfo> {
    return this.#ask(calls.change, { id, change }, call);
  }

  remove(id: string, call?: CallOptions): Promise<boolean> {
    return this.#ask(calls.remove, { id }, call);
  }

  removeLabelled(label: string, call?: CallOptions): Promise<number> {
    return this.#ask(calls.removeLabelled, { label }, call);
  }

  pause(id: string, call?: CallOptions): Promise<types.WatcherInfo> {
    return this.#ask(calls.pause, { id }, call);
  }

  resume(id: string, call?: CallOptions): Promise<types.WatcherInfo> {
    return this.#ask(calls.resume, { id }, call);
  }

  replay(
    id: string,
    { after, signal }: CallOptions & { readonly after: 'beginning' | Revision },
  ): Promise<types.WatcherInfo> {
    return this.#ask(calls.replay, { id, after }, { signal });
  }

  test(id: string, call?: CallOptions): Promise<types.TestResult> {
    return this.#ask(calls.test, { id }, call);
  }

  deadLetters(
    id: string,
    { signal, ...call }: types.DeadLetterCall = {},
  ): Promise<types.DeadLetterPage> {
    return this.#ask(calls.deadLetters, { id, ...call }, { signal });
  }

  replayDeadLetters(id: string, call?: CallOptions): Promise<number> {
    return this.#ask(calls.replayDeadLetters, { id }, call);
  }

  dropDeadLetters(id: string, call?: CallOptions): Promise<number> {
    return this.#ask(calls.dropDeadLetters, { id }, call);
  }

  processors(call?: CallOptions): Promise<readonly types.ProcessorInfo[]> {
    return this.#ask(calls.processors, {}, call);
  }

  mode(call?: CallOptions): Promise<types.SharingMode> {
    return this.#ask(calls.mode, {}, call);
  }

  async setMode(mode: types.SharingMode, call?: CallOptions): Promise<void> {
    await this.#ask(calls.setMode, { mode }, call);
  }

  secretsKeys(call?: CallOptions): Promise<types.SecretsKeys> {
    return this.#ask(calls.secretsKeys, {}, call);
  }

  reseal(call?: CallOptions): Promise<number> {
    return this.#ask(calls.reseal, {}, call);
  }

  events(call: types.WatcherEventsCall = {}): AsyncIterableIterator<types.WatcherEvent> {
    const ended = this.#space.join(call.signal);
    const left = new AbortController();
    const from = this.#from(call.after, ended.signal);
    // It is awaited by the first step.
    from.catch(() => undefined);
    const steps = this.#events(from, ended, left.signal);
    return {
      next: () => steps.next(),
      return: async () => {
        left.abort();
        ended.leave();
        ended.end();
        return await steps.return(undefined);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Where events go on from: from now, unless told. */
  async #from(after: string | undefined, signal: AbortSignal): Promise<string> {
    if (after !== undefined) return after;
    return (await this.#ask(calls.eventsAfter, { limit: 1, waitMs: 0 }, { signal })).after;
  }

  async *#events(
    from: Promise<string>,
    { signal, leave }: JoinedSignal,
    left: AbortSignal,
  ): AsyncGenerator<types.WatcherEvent, undefined> {
    try {
      for (let after = await from; ;) {
        const call = { after, limit: eventsAtOnce, waitMs };
        const next = await this.#ask(calls.eventsAfter, call, { signal });
        yield* next.events;
        after = next.after;
      }
    } catch (error) {
      if (!left.aborted) throw error;
    } finally {
      leave();
    }
    return undefined;
  }

  async #ask<A, R>(call: Asking<A, R>, asked: A, options: CallOptions = {}): Promise<R> {
    this.#space.checkOpen();
    const { signal } = options;
    // The registry is one for all namespaces.
    return await this.#space.host.run(
      call,
      'default',
      { ask: calls.encodeAsked(asked) },
      { signal },
    );
  }
}

function objectOf(wish: types.WatcherWish): types.WatcherWish {
  if (typeof wish === 'object' && wish !== null) return wish;
  throw new WaymarkError('invalid', 'a watcher is described by an object');
}
