import type { Batch, Entry, Revision } from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';
import { validateWholeNumber } from '../core/validate.js';
import * as calls from '../recipes/log.js';
import { decodeEntry, decodeHead, type LogHead, LogKeys } from '../recipes/log-keys.js';
import { decodeValue, encodeValue } from './codecs.js';
import type * as types from './log-types.js';
import type { HostNamespace } from './namespace.js';
import { resolvePath } from './paths.js';
import type { Call, Page } from './types.js';

const limitDefault = 100;
const limitMax = 1_000;

export class HostLog<T> implements types.Log<T> {
  readonly path: string;
  readonly #namespace: HostNamespace<T>;
  readonly #keys: LogKeys;

  constructor(namespace: HostNamespace<T>, path: string) {
    this.#namespace = namespace;
    this.path = path;
    this.#keys = new LogKeys(path);
  }

  async append(value: T, call: types.AppendCall = {}): Promise<types.Appended> {
    const { space, host, name, codec } = this.#namespace;
    const { path } = this;
    const { id = space.random.id(), author = space.owner, signal } = call;
    const hold = call.hold && { path: resolvePath('/', call.hold.path), token: call.hold.token };
    const args = { path, id, author, value: encodeValue(codec, path, value), hold };
    return await host.run(calls.append, name, args, { signal });
  }

  async latest(call: Call = {}): Promise<types.LogEntry<T> | null> {
    const { entries } = await this.read({ limit: 1, signal: call.signal });
    return entries[0] ?? null;
  }

  async read(call: types.LogReadCall = {}): Promise<Page<types.LogEntry<T>>> {
    const { limit = limitDefault, from = 'newest', after } = call;
    checkLimit(limit);
    validateWholeNumber('after', after);
    switch (from) {
      case 'oldest':
        return await this.#oldest(after ?? 0, limit, call);
      case 'newest':
        return await this.#newest(after, limit, call);
      default:
        throw new WaymarkError('invalid', `from is 'newest' or 'oldest', not '${String(from)}'`);
    }
  }

  async *all(
    call: Call & { readonly after?: number | undefined } = {},
  ): AsyncIterableIterator<types.LogEntry<T>> {
    for (let { after } = call; ;) {
      const page = await this.read({ from: 'oldest', after, signal: call.signal });
      yield* page.entries;
      if (!page.more) return;
      after = page.entries.at(-1)?.position;
    }
  }

  async *watch(
    call: Call & { readonly after?: number | undefined } = {},
  ): AsyncIterableIterator<types.LogEntry<T>> {
    const { after, signal } = call;
    validateWholeNumber('after', after);
    const { space } = this.#namespace;
    const ended = space.join(signal);
    try {
      yield* this.#watched(after, { signal: ended.signal });
    } finally {
      ended.leave();
    }
  }

  async *#watched(
    after: number | undefined,
    ended: { readonly signal: AbortSignal },
  ): AsyncGenerator<types.LogEntry<T>, void> {
    const { host, name } = this.#namespace;
    const start = await this.#head(ended);
    let next = (after ?? start.head.next - 1) + 1;
    if (next > start.head.next) throw notYet(this.path, next - 1);
    for (;;) {
      const page = await this.#oldest(next - 1, limitDefault, ended);
      for (const entry of page.entries) yield this.#following(entry, next++);
      if (page.more) continue;
      try {
        const range = this.#keys.entries(0);
        for await (const batch of host.watch(name, [range], { ...ended, after: page.revision })) {
          for (const entry of this.#appended(batch)) yield this.#following(entry, next++);
        }
        return;
      } catch (error) {
        // The entries are there still, unless retention took them: that is told by the next one's position.
        if (!isWaymarkError(error, 'compacted') || error.facts.path !== undefined) throw error;
      }
    }
  }

  async info(call: Call = {}): Promise<types.LogInfo> {
    return (await this.#head(call)).head;
  }

  async retain(retention: types.LogRetention, call: Call = {}): Promise<types.LogInfo> {
    const { host, name } = this.#namespace;
    const { entries, ageMs } = retention;
    const args = { path: this.path, entries, ageMs };
    return { ...retention, ...(await host.run(calls.retain, name, args, call)) };
  }

  /** Positions are dense, so the newest are found by counting, and read without sorting all. */
  async #newest(
    after: number | undefined,
    limit: number,
    { signal }: Call,
  ): Promise<Page<types.LogEntry<T>>> {
    const { host, name } = this.#namespace;
    for (let most = limit; ;) {
      const { head, revision } = await this.#head({ signal });
      const end = Math.min(after ?? head.next, head.next);
      const start = Math.max(end - most, head.first);
      if (start >= end) return { entries: [], more: false, revision };
      try {
        const query = { ...this.#keys.entries(start, end), at: revision, uncounted: true };
        const { entries } = await host.read(name, query, { signal });
        const newest = entries.map((entry) => this.#entry(entry)).reverse();
        return { entries: newest, more: start > head.first, revision };
      } catch (error) {
        // Large ones come in shorter pages.
        if (most > 1 && isWaymarkError(error, 'too_large')) most = Math.ceil(most / 2);
        else if (!isWaymarkError(error, 'compacted')) throw error;
      }
    }
  }

  async #oldest(after: number, limit: number, call: Call): Promise<Page<types.LogEntry<T>>> {
    const { host, name } = this.#namespace;
    const query = { ...this.#keys.entries(after + 1), limit, uncounted: true };
    const { entries, more, revision } = await host.read(name, query, { signal: call.signal });
    return { entries: entries.map((entry) => this.#entry(entry)), more, revision };
  }

  async #head(call: Call): Promise<{ readonly head: LogHead; readonly revision: Revision }> {
    const { host, name } = this.#namespace;
    const query = { key: this.#keys.head };
    const { entries, revision } = await host.read(name, query, { signal: call.signal });
    return { head: decodeHead(entries[0]), revision };
  }

  *#appended({ changes }: Batch): Iterable<types.LogEntry<T>> {
    for (const { kind, entry } of changes) if (kind === 'put') yield this.#entry(entry);
  }

  /** @throws {WaymarkError} when it is not the entry at the position that comes next */
  #following(entry: types.LogEntry<T>, next: number): types.LogEntry<T> {
    const { position } = entry;
    if (position === next) return entry;
    const { path } = this;
    if (position < next) {
      throw new WaymarkError('superseded', `the log ${path} began anew: read it again`, { path });
    }
    const gone = `entries ${next} to ${position - 1} of ${path} are kept no longer`;
    throw new WaymarkError('compacted', `${gone}: go on after ${position - 1}`, { path });
  }

  #entry({ key, value: bytes, modRevision }: Entry): types.LogEntry<T> {
    const { position, at } = this.#keys.facts(key);
    const { author, value: encoded } = decodeEntry(bytes);
    const value = decodeValue(this.#namespace.codec, this.path, encoded);
    return { position, value, author, at, revision: modRevision };
  }
}

function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= limitMax) return;
  throw new WaymarkError('invalid', `limit is 1 to ${limitMax} entries, not ${String(limit)}`);
}

function notYet(path: string, after: number): WaymarkError {
  const message = `the log ${path} has no entry ${after} yet: watch after one it has`;
  return new WaymarkError('future_revision', message, { path });
}
