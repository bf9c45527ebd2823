import { WaymarkError } from '../core/errors.js';
import * as calls from '../recipes/semaphore.js';
import { permitKeys } from '../recipes/semaphore-queue.js';
import { checkLimit, checkWish, noSemaphore } from '../recipes/semaphore-request.js';
import { Held, type HeldParts } from './held.js';
import type { HostNamespace } from './namespace.js';
import type * as types from './semaphore-types.js';
import type { Call } from './types.js';
import { watchKeyGone } from './watch-key.js';

/** Of each kind, in one answer. */
const partiesMax = 1_000;

export class HostSemaphore implements types.Semaphore {
  readonly path: string;
  readonly #namespace: HostNamespace<unknown>;
  /** What requests insist on. */
  #limit: number | undefined;

  constructor(namespace: HostNamespace<unknown>, path: string, options: types.SemaphoreOptions) {
    this.#namespace = namespace;
    this.path = path;
    this.#limit = options.limit;
    if (options.limit !== undefined) checkLimit(options.limit);
  }

  async acquire(call: types.PermitCall = {}): Promise<types.Permit> {
    const permit = await this.#acquire(call);
    if (permit !== null) return permit;
    const { path } = this;
    throw new WaymarkError('timeout', `${path} has no room now (waitMs: 0)`, { path });
  }

  async tryAcquire(call: types.PermitCall = {}): Promise<types.Permit | null> {
    return await this.#acquire({ ...call, waitMs: 0 });
  }

  async resize(limit: number, call: Call = {}): Promise<void> {
    checkLimit(limit);
    const { host, name } = this.#namespace;
    await host.run(calls.resize, name, { path: this.path, limit }, call);
    if (this.#limit !== undefined) this.#limit = limit;
  }

  async holders(call: Call = {}): Promise<readonly types.PermitParty[]> {
    return (await this.#explain(1, partiesMax, call))?.holders ?? [];
  }

  async status(call: Call = {}): Promise<types.SemaphoreStatus | null> {
    const told = await this.#explain(1, 0, call);
    if (told === null) return null;
    const { path, revision, limit, used, holding, waiting } = told;
    return { path, revision, limit, used, holding, waiting };
  }

  async explain(
    call: Call & { readonly weight?: number | undefined } = {},
  ): Promise<types.SemaphoreExplanation> {
    const { weight = 1, signal } = call;
    checkWish({ path: this.path, weight });
    const told = await this.#explain(weight, partiesMax, { signal });
    if (told === null) throw noSemaphore(this.path);
    return told;
  }

  async remove(call: Call = {}): Promise<boolean> {
    const { host, name } = this.#namespace;
    return await host.run(calls.remove, name, { path: this.path }, call);
  }

  async #acquire(call: types.PermitCall): Promise<HeldPermit | null> {
    const { space, host, name } = this.#namespace;
    const { path } = this;
    const { weight = 1, waitMs, signal } = call;
    const wish = { path, weight, limit: this.#limit };
    checkWish(wish);
    return await space.holder.hold({
      path,
      call,
      ask: (asker) =>
        host.run(calls.acquire, name, { ...asker, ...wish, waitMs }, signal && { signal }),
      giveUp: ({ id }) => host.run(calls.release, name, { id, path }),
      make: (parts, asker) => new HeldPermit(parts, asker.id, weight, this.#namespace),
    });
  }

  async #explain(
    weight: number,
    parties: number,
    call: Call,
  ): Promise<types.SemaphoreExplanation | null> {
    const { host, name } = this.#namespace;
    return await host.run(calls.explain, name, { path: this.path, weight, parties }, call);
  }
}

class HeldPermit extends Held implements types.Permit {
  readonly weight: number;
  readonly #id: string;
  readonly #namespace: HostNamespace<unknown>;

  constructor(parts: HeldParts, id: string, weight: number, namespace: HostNamespace<unknown>) {
    super(parts);
    this.weight = weight;
    this.#id = id;
    this.#namespace = namespace;
  }

  protected get title(): string {
    return `permit ${this.token} of ${this.path}`;
  }

  protected giveBack(): Promise<boolean> {
    const { space, name } = this.#namespace;
    return space.host.run(calls.release, name, { id: this.#id, path: this.path });
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { space, name } = this.#namespace;
    const key = permitKeys(this.path, this.#id).place;
    return watchKeyGone(space.host, name, { key }, this.token, lost);
  }
}
