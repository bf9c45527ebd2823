import type { Entry } from '../core/engine.js';
import * as calls from '../recipes/barrier.js';
import { BarrierKeys, type BarrierKind, viewOf } from '../recipes/barrier-keys.js';
import type { Passed } from '../recipes/barrier-turn.js';
import { checkParties } from '../recipes/checks.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { insideWords, lostHold } from '../recipes/wording.js';
import type * as types from './barrier-types.js';
import { Held, type HeldParts } from './held.js';
import type { Asker } from './holder.js';
import type { NamespacePlace } from './namespace.js';
import type { Call, HoldCall } from './types.js';
import { watchKeyGone } from './watch-key.js';

abstract class AnyBarrier {
  readonly path: string;
  protected readonly namespace: NamespacePlace;
  protected readonly parties: number;
  protected abstract readonly kind: BarrierKind;

  constructor(namespace: NamespacePlace, path: string, { parties }: types.BarrierOptions) {
    checkParties(parties);
    this.namespace = namespace;
    this.path = path;
    this.parties = parties;
  }

  async status(call: Call = {}): Promise<types.BarrierStatus> {
    const { host, name } = this.namespace;
    const keys = new BarrierKeys(this.path, this.kind);
    const view = viewOf(keys, await host.read(name, keys.all, call));
    const { waiting, inside, revision, state } = view;
    // Where nobody stands, the next to come may bring another number.
    const standing = waiting.length + inside.length > 0;
    const parties = standing && state !== null ? state.parties : this.parties;
    return {
      parties,
      generation: state?.generation ?? 0,
      waiting: waiting.map(partyOf),
      inside: inside.map(partyOf),
      missing: Math.max(0, parties - waiting.length),
      revision,
    };
  }

  protected async arrive(asker: Asker, { waitMs, signal }: HoldCall): Promise<Passed> {
    const { host, name } = this.namespace;
    const { path, parties, kind } = this;
    return await host.run(
      calls.arrive,
      name,
      { ...asker, path, parties, kind, waitMs },
      signal && { signal },
    );
  }

  protected stepBack({ id }: Asker): Promise<boolean> {
    const { namespace, path, kind } = this;
    return namespace.host.run(calls.stepBack, namespace.name, { id, path, kind });
  }
}

export class HostBarrier extends AnyBarrier implements types.Barrier {
  protected readonly kind = 'barrier';

  async wait(call: HoldCall = {}): Promise<number> {
    const { space } = this.namespace;
    space.checkOpen();
    const asked = await space.holder.ask(
      call,
      (asker) => this.arrive(asker, call),
      (asker) => this.stepBack(asker),
    );
    return asked.generation;
  }
}

export class HostDoubleBarrier extends AnyBarrier implements types.DoubleBarrier {
  protected readonly kind = 'double';

  async enter(call: HoldCall = {}): Promise<types.Inside> {
    const { path, namespace } = this;
    namespace.space.checkOpen();
    let generation = 0;
    const inside = await namespace.space.holder.hold({
      path,
      call,
      ask: async (asker) => {
        const passed = await this.arrive(asker, call);
        generation = passed.generation;
        return passed.created;
      },
      giveUp: (asker) => this.stepBack(asker),
      make: (parts, asker) => new HeldInside(parts, asker, { namespace, generation }),
    });
    if (inside !== null) return inside;
    throw lostHold(path, insideWords);
  }
}

class HeldInside extends Held implements types.Inside {
  readonly generation: number;
  readonly #id: string;
  readonly #namespace: NamespacePlace;
  #leaving: (Call & { readonly waitMs?: number | undefined }) | undefined;

  constructor(
    parts: HeldParts,
    { id }: Asker,
    entered: { readonly namespace: NamespacePlace; readonly generation: number },
  ) {
    super(parts);
    this.#id = id;
    this.#namespace = entered.namespace;
    this.generation = entered.generation;
  }

  async leave(call: Call & { readonly waitMs?: number | undefined } = {}): Promise<void> {
    if (!this.isHeld()) throw this.reason ?? lostHold(this.path, insideWords);
    this.#leaving = call;
    await this.release();
  }

  protected get title(): string {
    return `the place inside ${this.path}`;
  }

  protected giveBack(): Promise<boolean> {
    const { host, name } = this.#namespace;
    const place = { id: this.#id, path: this.path, kind: 'double' } as const;
    if (this.#leaving === undefined) return host.run(calls.stepBack, name, place);
    const { waitMs, signal } = this.#leaving;
    const { generation } = this;
    const { id, path } = place;
    return host.run(calls.leave, name, { id, path, generation, waitMs }, signal && { signal });
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const { host, name } = this.#namespace;
    const key = new BarrierKeys(this.path, 'double').place(this.#id);
    return watchKeyGone(host, name, { key }, this.token, lost);
  }
}

function partyOf({ value, createRevision, lease }: Entry): types.BarrierParty {
  return { owner: decodeParty(value).owner, since: createRevision, lease };
}
