import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type Target,
} from '../../packages/server/src/endpoints/endpoint.js';
import { normalUri, readUri } from '../../packages/server/src/endpoints/kit/uri.js';

export interface Tried {
  readonly endpoint: string;
  readonly delivery: Delivery;
}

/** What an endpoint does with a delivery. */
export type Answer = (delivery: Delivery, signal: AbortSignal) => Promise<void> | void;

/** Endpoints of the kind `sink` in this process: they keep what was accepted, and answer as a test says. */
export class Sinks {
  readonly tried: Tried[] = [];
  readonly #accepted = new Map<string, DeliveredEvent[]>();
  readonly #answers = new Map<string, Answer>();
  readonly #open = new Map<string, number>();
  readonly #wakes = new Set<() => void>();
  /** The most tries that were under way to one endpoint at once. */
  mostAtOnce = 0;

  /** @param name  the host of `sink://NAME/` */
  answer(name: string, answer: Answer | null): void {
    if (answer === null) this.#answers.delete(name);
    else this.#answers.set(name, answer);
  }

  accepted(name: string): readonly DeliveredEvent[] {
    return this.#accepted.get(name) ?? [];
  }

  paths(name: string): string[] {
    return this.accepted(name).map(({ path }) => path);
  }

  /** Resolves when so many tries have begun. */
  async begun(tries: number): Promise<void> {
    await this.until(() => this.tried.length >= tries);
  }

  /** Resolves once it holds; looked at when a try begins or ends. */
  async until(fact: () => boolean, withinMs = 10_000): Promise<void> {
    if (fact()) return;
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!fact()) return;
        done();
        resolve();
      };
      const timer = setTimeout(() => {
        done();
        reject(
          new Error(`not within ${withinMs} ms: ${fact.toString()}; tried ${this.tried.length}`),
        );
      }, withinMs);
      const done = (): void => {
        clearTimeout(timer);
        this.#wakes.delete(look);
      };
      this.#wakes.add(look);
    });
  }

  readonly kind: EndpointKind = {
    name: 'sink',
    schemes: ['sink'],
    eventsMax: 1_000,
    bytesMax: 1_048_576,
    parse: (uri): Target => {
      const parts = readUri(uri, { ports: { sink: 1 }, parameters: [] });
      const { host, port } = parts;
      return { normal: normalUri(parts), uri, host, port, fences: false };
    },
    open: (target): Endpoint => ({
      deliver: (delivery, signal) => this.#deliver(target.host, delivery, signal),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  };

  async #deliver(name: string, delivery: Delivery, signal: AbortSignal): Promise<void> {
    const open = (this.#open.get(name) ?? 0) + 1;
    this.#open.set(name, open);
    this.mostAtOnce = Math.max(this.mostAtOnce, open);
    this.tried.push({ endpoint: name, delivery });
    this.#wake();
    try {
      await this.#answers.get(name)?.(delivery, signal);
      const accepted = this.#accepted.get(name) ?? [];
      this.#accepted.set(name, accepted);
      accepted.push(...delivery.events);
    } finally {
      this.#open.set(name, (this.#open.get(name) ?? 1) - 1);
      this.#wake();
    }
  }

  #wake(): void {
    for (const wake of [...this.#wakes]) wake();
  }
}

export const failing =
  (verdict: DeliveryFailure['verdict'] = 'again'): Answer =>
  () => {
    throw new DeliveryFailure(verdict, 'refused by the test');
  };

export const hanging: Answer = (_delivery, signal) =>
  new Promise<void>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
