import type { Entry, KeyRange } from '../core/engine.js';
import type { Host } from '../core/host.js';
import { leaderOf } from './group-state.js';
import type { MembersView } from './member-types.js';

type Leading = NonNullable<MembersView['leader']>;

/**
 * Who leads a group. The first message reads it, and begins a watch that goes on telling. What that told last may be out of date: a
 * message is pinned to a term, so whoever leads no more refuses it, and then it is read again.
 */
export class KnownLeader {
  readonly #host: Host;
  readonly #namespace: string;
  readonly #range: KeyRange;
  readonly #ended = new AbortController();
  #following = false;
  #mark: Entry | undefined;
  #told: Leading | null = null;
  #reading = 0;

  constructor(host: Host, namespace: string, range: KeyRange) {
    this.#host = host;
    this.#namespace = namespace;
    this.#range = range;
  }

  /** Null: read it. While one message reads, all do: else a later one would overtake it. */
  get told(): Leading | null {
    return this.#reading === 0 ? this.#told : null;
  }

  /** @param use  called before anyone who asks later is told */
  async read<T>(
    signal: AbortSignal,
    use: (leader: Leading | null, revision: number) => Promise<T>,
  ): Promise<T> {
    this.#reading++;
    let used: Promise<T>;
    try {
      const query = { ...this.#range, limit: 1 };
      const { entries, revision } = await this.#host.read(this.#namespace, query, { signal });
      const [mark] = entries;
      used = use(leaderOf(mark), revision);
      if (mark !== undefined && !this.#following) void this.#follow(mark, revision);
    } finally {
      this.#reading--;
    }
    return await used;
  }

  end(): void {
    this.#ended.abort();
  }

  async #follow(mark: Entry, after: number): Promise<void> {
    const { signal } = this.#ended;
    if (signal.aborted) return;
    this.#following = true;
    this.#tell(mark);
    try {
      const watch = this.#host.watch(this.#namespace, [this.#range], { after, signal });
      for await (const { changes } of watch) {
        for (const { kind, entry } of changes) {
          // The end of a term may stand beside the begin of the next, in either order.
          if (kind === 'put') this.#tell(entry);
          else if (this.#mark?.key === entry.key) this.#tell(undefined);
        }
      }
    } catch {
      // Compacted, or out of reach: the next message reads, and begins anew.
    } finally {
      this.#tell(undefined);
      this.#following = false;
    }
  }

  #tell(mark: Entry | undefined): void {
    this.#mark = mark;
    this.#told = leaderOf(mark);
  }
}
