import {
  type Batch,
  type ByteString,
  type Engine,
  type Entry,
  namespacePrefix,
  prefixRange,
  type Revision,
} from 'waymark/engine';
import { type Followed, follow } from './follow.js';

const namespaces = prefixRange('n/');
const pageSize = 500;

/**
 * How many bytes the keys and values of each namespace take. They are counted once, and from then on by what changes, so that a write costs
 * its own change and no scan.
 */
export class Usage {
  readonly #engine: Engine;
  #bytes: Map<ByteString, number> = new Map();
  #counted: Revision = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Goes on with what was counted until the server stops, and resolves then. */
  follow(parts: Pick<Followed, 'clock' | 'stopping'>): Promise<void> {
    return follow({
      ...parts,
      engine: this.#engine,
      range: namespaces,
      from: this.#counted,
      load: () => this.load(),
      take: (batch) => this.#take(batch),
    });
  }

  of(namespace: string): number {
    return this.#bytes.get(namespacePrefix(namespace)) ?? 0;
  }

  /** Counts all there is. @returns the revision of it */
  async load(): Promise<Revision> {
    const { revision } = await this.#engine.status();
    const bytes = new Map<ByteString, number>();
    for (let { key } = namespaces; ;) {
      const page = { ...namespaces, key, at: revision, limit: pageSize, uncounted: true };
      const { entries, more } = await this.#engine.read(page);
      for (const entry of entries) add(bytes, entry, 1);
      const last = entries.at(-1);
      if (!more || last === undefined) break;
      key = `${last.key}\0`;
    }
    this.#bytes = bytes;
    return (this.#counted = revision);
  }

  #take({ changes }: Batch): void {
    for (const { kind, entry, previous } of changes) {
      if (previous) add(this.#bytes, previous, -1);
      if (kind === 'put') add(this.#bytes, entry, 1);
    }
  }
}

/** Counts what etcd's clients see: the data of namespaces. */
function add(bytes: Map<ByteString, number>, { key, value }: Entry, sign: 1 | -1): void {
  const facet = key.indexOf('/', 2) + 1;
  if (key[facet] !== 'd') return;
  const prefix = key.slice(0, facet);
  const size = key.length - facet - 1 + value.length;
  bytes.set(prefix, (bytes.get(prefix) ?? 0) + sign * size);
}
