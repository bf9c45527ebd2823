/**
 * The revisions of an etcd, and those of a Waymark that counts differently: on an engine in which more is kept than what is asked for, its revisions
 * grow by more than one. Both tell the same when every write here is a write there, in the same order: each pair is noted as it is made, requests
 * are put in the other's terms, and answers are read in etcd's. Between two writes lies nothing that an entry could have been written at.
 */
export class RevisionPairs {
  /** By etcd's revision. */
  readonly #ours = new Map<bigint, bigint>();
  /** By ours. */
  readonly #theirs = new Map<bigint, bigint>();
  #first = 0n;
  #last = 0n;

  /** What both told after the same call; a revision that etcd had before is noted already. */
  note(ours: bigint, theirs: bigint): void {
    if (theirs <= this.#last) return;
    if (this.#first === 0n) this.#first = theirs;
    for (let lost = this.#last + 1n; this.#last > 0n && lost < theirs; lost++) {
      throw new Error(`nobody told what etcd's revision ${lost} is here`);
    }
    this.#last = theirs;
    this.#ours.set(theirs, ours);
    this.#theirs.set(ours, theirs);
  }

  /** The request as it is asked here. A watch begins in the future with the next write, whichever revision that will have; all else is to lie in the future for sure. */
  asked(request: unknown): unknown {
    return replaced(request, (name, value) => {
      if (name === 'startRevision') return this.#here(value as bigint, 0n);
      // After the last write: what a transaction writes itself is, whichever revision it will have.
      if (name.startsWith('min') && value === this.#last + 1n) return this.#here(value, 0n);
      return askedNames.has(name) ? this.#here(value as bigint, farMost) : undefined;
    });
  }

  /** The answer in etcd's revisions: those of entries exactly, a header's is that of the last write before it. */
  told(answer: unknown): unknown {
    return replaced(answer, (name, value) => {
      if (name === 'revision') return String(this.#lastBefore(BigInt(value as string)));
      if (!writtenNames.has(name)) return undefined;
      const there = this.#theirs.get(BigInt(value as string));
      return there === undefined ? `no write: ${String(value)}` : String(there);
    });
  }

  #here(there: bigint, far: bigint): bigint {
    if (there < this.#first) return there;
    if (there > this.#last)
      return (this.#ours.get(this.#last) as bigint) + there - this.#last + far;
    return this.#ours.get(there) as bigint;
  }

  #lastBefore(here: bigint): bigint {
    let low = this.#first;
    let high = this.#last;
    while (low < high) {
      const middle = (low + high + 1n) / 2n;
      if ((this.#ours.get(middle) as bigint) <= here) low = middle;
      else high = middle - 1n;
    }
    return low;
  }
}

/** More than what is kept beside a write: markers of leases, the floor of history. */
const farMost = 1_000_000n;
const askedNames = new Set([
  'revision',
  'minModRevision',
  'maxModRevision',
  'minCreateRevision',
  'maxCreateRevision',
  'createRevision',
  'modRevision',
]);
const writtenNames = new Set(['createRevision', 'modRevision', 'compactRevision']);

type Replace = (name: string, value: unknown) => unknown;

/** A copy, with another value wherever `replace` gives one. A compare names its target in `case`. */
function replaced(from: unknown, replace: Replace): unknown {
  if (Array.isArray(from)) return from.map((one) => replaced(one, replace));
  if (typeof from !== 'object' || from === null || Buffer.isBuffer(from)) return from;
  const union = (from as { case?: string }).case;
  const entries = Object.entries(from).map(([name, value]): [string, unknown] => {
    if (typeof value === 'object') return [name, replaced(value, replace)];
    const other = replace(name === 'value' && union !== undefined ? union : name, value);
    return [name, other ?? value];
  });
  return Object.fromEntries(entries);
}
