import { byRevision } from '../core/by-revision.js';
import type { Batch, Entry } from '../core/engine.js';
import { bytesToText } from '../core/bytes.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { limits } from '../core/limits.js';
import { decodeParty } from '../recipes/lock-queue.js';
import * as calls from '../recipes/names.js';
import { Held, type HeldParts } from './held.js';
import { type Asker, ttlMsDefault } from './holder.js';
import { type HostLease, keepLease } from './kept-lease.js';
import { encodeList, type NameList, withoutDuplicates } from './name-lists.js';
import {
  claimRange,
  listKey,
  membersRange,
  parsePosition,
  positionsRange,
} from './names-layout.js';
import type * as types from './names-types.js';
import type { HostSpace } from './space.js';
import type { Call } from './types.js';
import { watchKeyGone } from './watch-key.js';

interface Granted {
  readonly name: string;
  readonly position: number;
  readonly token: number;
}

export class HostNames implements types.Names {
  readonly path: string;
  readonly #space: HostSpace;
  readonly #namespace: string;
  readonly #list: string | undefined;

  constructor(
    space: HostSpace,
    namespace: string,
    path: string,
    list: NameList | undefined,
    { dropDuplicates = false }: types.NamesOptions = {},
  ) {
    this.#space = space;
    this.#namespace = namespace;
    this.path = path;
    const names = list !== undefined && dropDuplicates ? withoutDuplicates(list) : list;
    this.#list = names && encodeList(names);
  }

  async claim(owner: string, call: types.ClaimCall = {}): Promise<types.Name> {
    const { wait = false, waitMs = wait ? undefined : 0, signal, lease, ttlMs, renew } = call;
    this.#space.checkOpen();
    const keeper = await this.#keeper(call);
    let granted: Granted | undefined;
    const ask = async (asker: Asker): Promise<number> => {
      const list = this.#list;
      const args = { ...asker, path: this.path, list, keeper: keeper?.id, waitMs };
      const { host } = this.#space;
      granted = await host.run(calls.claim, this.#namespace, args, signal && { signal });
      return granted.token;
    };
    try {
      const name = await this.#space.holder.hold({
        path: this.path,
        call: { ttlMs, renew, signal, owner },
        lease,
        ask,
        giveUp: async ({ id, owner, lease }) => {
          const args = { id, path: this.path, owner, lease };
          await this.#space.host.run(calls.giveUp, this.#namespace, args);
        },
        make: (parts, asker) =>
          new HeldName(parts, asker, granted as Granted, this.#space, this.#namespace, keeper),
      });
      return name as HeldName;
    } catch (error) {
      keeper?.letRunOut();
      void keeper?.release().catch(() => undefined);
      throw error;
    }
  }

  async members(call: Call = {}): Promise<types.NamesView> {
    this.#space.checkOpen();
    const { members, names: _, ...rest } = await this.#read(call);
    return { ...rest, members: [...members.values()] };
  }

  async *watch(call: Call = {}): AsyncIterableIterator<types.NamesChange> {
    let before: Claims | null = null;
    for (;;) {
      const { members, names, revision } = await this.#read(call);
      const step = changeOf(before ?? new Map(), members, revision);
      if (before === null || step.claimed.length + step.freed.length > 0) yield step;
      before = members;
      try {
        const ranges = [positionsRange(this.path), { key: listKey(this.path) }];
        const options = { after: revision, signal: call.signal };
        let list = names;
        for await (const batch of this.#space.host.watch(this.#namespace, ranges, options)) {
          for (const step of byRevision(batch)) {
            list = this.#listIn(step) ?? list;
            const after = this.#after(before, step, list);
            const change = changeOf(before, after, step.revision);
            before = after;
            if (change.claimed.length + change.freed.length > 0) yield change;
          }
        }
        return;
      } catch (error) {
        if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  /** The lease that keeps the name for its owner: it outlives the claim's by the grace, however long ago it was renewed. */
  async #keeper(call: types.ClaimCall): Promise<HostLease | undefined> {
    const { graceMs, lease, ttlMs = lease?.ttlMs ?? ttlMsDefault, renew, signal } = call;
    if (graceMs === undefined) return undefined;
    if (!(graceMs > 0 && graceMs <= limits.ttlMsMax)) {
      throw new WaymarkError('invalid', `graceMs is 1 to ${limits.ttlMsMax}, not ${graceMs}`);
    }
    if (renew === false) {
      throw new WaymarkError('invalid', 'a claim that is not renewed has no grace');
    }
    // A lease is renewed when a third of its TTL has passed, so two thirds are left of it at least.
    const keeperMs = Math.min(1.5 * (ttlMs + graceMs), limits.ttlMsMax);
    const { host, clock } = this.#space;
    return await keepLease(host, clock, keeperMs, { renew: true, signal });
  }

  async #read(call: Call): Promise<Reading> {
    const { host } = this.#space;
    const { entries, revision } = await host.read(this.#namespace, membersRange(this.path), call);
    const list = entries.find(({ key }) => key === listKey(this.path));
    const names = list === undefined ? [] : bytesToText(list.value).split('\n');
    const members = new Map<number, types.NameClaim>();
    const keptBy = new Map<number, string>();
    const waiters: Entry[] = [];
    for (const entry of entries) {
      const at = parsePosition(this.path, entry.key);
      if (at?.claimed === true) members.set(at.position, memberOf(entry, at.position, names));
      else if (at !== null) keptBy.set(at.position, bytesToText(entry.value));
      else if (entry !== list) waiters.push(entry);
    }
    const kept = [...keptBy]
      .filter(([position]) => !members.has(position))
      .map(([position, owner]) => ({ name: names[position] ?? '', position, owner }));
    waiters.sort((x, y) => x.createRevision - y.createRevision);
    const waiting = waiters.map(({ value }) => decodeParty(value).owner);
    return { members, kept, waiting, names, size: names.length, revision };
  }

  #listIn({ changes }: Batch): NameList | undefined {
    const list = changes.find(({ entry }) => entry.key === listKey(this.path));
    return list?.kind === 'put' ? bytesToText(list.entry.value).split('\n') : undefined;
  }

  #after(before: Claims, { changes }: Batch, names: NameList): Claims {
    const after = new Map(before);
    const claimed = changes.flatMap(({ kind, entry }) => {
      const at = parsePosition(this.path, entry.key);
      return at?.claimed === true ? [{ kind, entry, position: at.position }] : [];
    });
    // Who takes a name over puts its claim in the revision in which the one before goes.
    for (const { kind, position } of claimed) if (kind !== 'put') after.delete(position);
    for (const { kind, entry, position } of claimed) {
      if (kind === 'put') after.set(position, memberOf(entry, position, names));
    }
    return after;
  }
}

type Claims = ReadonlyMap<number, types.NameClaim>;

interface Reading extends Omit<types.NamesView, 'members'> {
  readonly members: Claims;
  readonly names: NameList;
}

function memberOf(entry: Entry, position: number, names: NameList): types.NameClaim {
  const { owner } = decodeParty(entry.value);
  const { createRevision: token, lease } = entry;
  return { name: names[position] ?? '', position, owner, token, lease };
}

function changeOf(before: Claims, after: Claims, revision: number): types.NamesChange {
  const without = (some: Claims, others: Claims): types.NameClaim[] =>
    [...some.values()].filter(({ position, token }) => others.get(position)?.token !== token);
  const members = [...after.values()].sort((x, y) => x.position - y.position);
  return { revision, members, claimed: without(after, before), freed: without(before, after) };
}

class HeldName extends Held implements types.Name {
  readonly name: string;
  readonly position: number;
  readonly owner: string;
  readonly #asker: Asker;
  readonly #space: HostSpace;
  readonly #namespace: string;
  readonly #keeper: HostLease | undefined;

  constructor(
    parts: HeldParts,
    asker: Asker,
    { name, position }: Granted,
    space: HostSpace,
    namespace: string,
    keeper: HostLease | undefined,
  ) {
    const ended = (held: Held): void => {
      keeper?.letRunOut();
      parts.ended(held);
    };
    super({ ...parts, ended });
    this.name = name;
    this.position = position;
    this.owner = asker.owner;
    this.#asker = asker;
    this.#space = space;
    this.#namespace = namespace;
    this.#keeper = keeper;
  }

  protected get title(): string {
    return `the name ${this.name} of ${this.path}`;
  }

  protected async giveBack(): Promise<boolean> {
    const { path, token } = this;
    const { owner, lease } = this.#asker;
    const args = { path, owner, lease, token };
    const released = await this.#space.host.run(calls.release, this.#namespace, args);
    await this.#keeper?.release();
    return released;
  }

  protected watchLoss(lost: (why: string) => void): () => void {
    const range = claimRange(this.path, this.position);
    return watchKeyGone(this.#space.host, this.#namespace, range, this.token, lost);
  }
}
