import type { Engine, Entry, LeaseId, Operation, Random } from 'waymark/engine';

export interface State {
  readonly revision: number;
  readonly entries: readonly Entry[];
  readonly leases: readonly LeaseId[];
}

export async function wholeState(engine: Engine): Promise<State> {
  const { revision, entries } = await engine.read({ key: '', end: '' });
  return { revision, entries, leases: await engine.leases() };
}

/**
 * Follows history from its beginning to the present, and compares what each change says was before it.
 *
 * @returns after which revision history is kept
 * @throws when it does not lead there
 */
export async function followHistory(engine: Engine): Promise<number> {
  const { compacted, revision } = await engine.status();
  const { entries } = await engine.read({ key: '', end: '', at: compacted });
  const state = new Map(entries.map((entry) => [entry.key, entry]));
  const whole = { key: '', end: '' };
  const watch = engine.watch([whole], { after: compacted, previous: true });
  let last = compacted;
  for await (const batch of last < revision ? watch : []) {
    for (const { kind, entry, previous } of batch.changes) {
      if (JSON.stringify(previous ?? null) !== JSON.stringify(state.get(entry.key) ?? null))
        throw new Error(`${entry.key} was another before revision ${entry.modRevision}`);
      if (kind === 'put') state.set(entry.key, entry);
      else state.delete(entry.key);
    }
    last = batch.revision;
    if (last >= revision) break;
  }
  const present = await engine.read(whole);
  const followed = [...state.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  if (JSON.stringify(followed) !== JSON.stringify(present.entries))
    throw new Error(`history after ${compacted} does not lead to ${revision}`);
  return compacted;
}

type Contents = Map<string, { readonly value: string; readonly lease: LeaseId }>;

interface Write {
  readonly revision: number;
  readonly puts: readonly (readonly [
    key: string,
    entry: { readonly value: string; readonly lease: LeaseId },
  ])[];
  readonly deletes: readonly string[];
}

/** What another process's ledger tells of itself, in order. */
export type LedgerReport =
  | { readonly type: 'issued'; readonly write: Write }
  | { readonly type: 'acknowledged'; readonly revision: number }
  | {
      readonly type: 'lease';
      readonly id: LeaseId;
      readonly granted: boolean;
      readonly acknowledged: boolean;
    };

interface LeaseEvent {
  readonly id: LeaseId;
  readonly granted: boolean;
  acknowledged: boolean;
}

const keys = 40;

/**
 * Drives an engine with writes at random and keeps the books: what was issued, in the order in which the engine evaluates it, and up to which
 * revision it was acknowledged. A recovered state must be that of one of the issued revisions, whole, none of them above it
 * acknowledged.
 */
export class Ledger {
  readonly random: Random;
  readonly #report: (report: LedgerReport) => void;
  /** The state that was found last, and what was issued since. */
  #base: Contents = new Map();
  #baseRevision = 0;
  #writes: Write[] = [];
  #leases: LeaseEvent[] = [];
  #state: Contents = new Map();
  #head = 0;
  #acknowledged = 0;
  #serial: number;

  constructor(
    random: Random,
    report: (report: LedgerReport) => void = () => undefined,
    serial = 0,
  ) {
    this.random = random;
    this.#report = report;
    this.#serial = serial;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  fork(): Ledger {
    const fork = new Ledger(this.random);
    fork.#base = new Map(this.#base);
    fork.#baseRevision = this.#baseRevision;
    fork.#writes = [...this.#writes];
    fork.#leases = this.#leases.map((event) => ({ ...event }));
    fork.#acknowledged = this.#acknowledged;
    fork.#serial = this.#serial;
    return fork;
  }

  /** Runs `operations` from 8 writers. Returns when all are answered. */
  async run(engine: Engine, operations: number): Promise<void> {
    let left = operations;
    const writer = async (): Promise<void> => {
      while (left-- > 0) await this.#step(engine);
    };
    await Promise.all(Array.from({ length: 8 }, writer));
  }

  /** @throws when the state is none that may be found, and goes on from it otherwise */
  verify(found: State): void {
    if (found.revision < this.#acknowledged) {
      throw new Error(`acknowledged up to ${this.#acknowledged}, found ${found.revision}`);
    }
    const kept = this.#writes.filter(({ revision }) => revision <= found.revision);
    if ((kept.at(-1)?.revision ?? this.#baseRevision) !== found.revision) {
      throw new Error(`revision ${found.revision} was never issued`);
    }
    this.#state = new Map(this.#base);
    for (const write of kept) applyWrite(this.#state, write);
    this.#compare(found);
    for (const { id, granted } of this.#leases.filter(({ acknowledged }) => acknowledged)) {
      if (found.leases.includes(id) !== granted)
        throw new Error(`lease ${id} is ${granted ? 'lost' : 'back'}`);
    }
    this.adopt(found);
  }

  /** Goes on from a state whatever it is. */
  adopt(found: State): void {
    this.#base = new Map(found.entries.map(({ key, value, lease }) => [key, { value, lease }]));
    this.#state = new Map(this.#base);
    this.#baseRevision = found.revision;
    this.#writes = [];
    this.#head = found.revision;
    this.#acknowledged = found.revision;
    this.#leases = found.leases.map((id) => ({ id, granted: true, acknowledged: true }));
  }

  /** Enters what another process's ledger told. */
  enter(report: LedgerReport): void {
    if (report.type === 'issued') this.#writes.push(report.write);
    else if (report.type === 'acknowledged')
      this.#acknowledged = Math.max(this.#acknowledged, report.revision);
    else {
      this.#leases = this.#leases.filter(({ id }) => id !== report.id);
      this.#leases.push({ ...report });
    }
  }

  #compare(found: State): void {
    const entries = new Map(found.entries.map(({ key, value, lease }) => [key, { value, lease }]));
    for (const [key, entry] of this.#state) {
      const there = entries.get(key);
      if (there?.value !== entry.value || there.lease !== entry.lease) {
        throw new Error(
          `${key} is ${JSON.stringify(there)} at ${found.revision}, not ${JSON.stringify(entry)}`,
        );
      }
    }
    for (const key of entries.keys())
      if (!this.#state.has(key)) throw new Error(`${key} is back at ${found.revision}`);
  }

  async #step(engine: Engine): Promise<void> {
    const dice = this.random.next();
    if (dice < 0.04) return await this.#grant(engine);
    if (dice < 0.07) return await this.#revoke(engine);
    if (dice < 0.27) return await this.#commit(engine, [this.#key()], []);
    if (dice < 0.37)
      return await this.#commit(engine, [this.#key()], [this.#key('t'), this.#key('u')]);
    return await this.#commit(engine, [], [this.#key()]);
  }

  #key(prefix = 'k'): string {
    return `${prefix}/${Math.floor(this.random.next() * keys)}`;
  }

  async #commit(
    engine: Engine,
    deletes: readonly string[],
    keysPut: readonly string[],
  ): Promise<void> {
    const live = this.#leases.filter(({ granted, acknowledged }) => granted && acknowledged);
    const puts = keysPut.map((key) => {
      const lease = this.random.next() < 0.1 ? (live.at(-1)?.id ?? 0) : 0;
      const value = `${++this.#serial} ${'x'.repeat(Math.floor(this.random.next() ** 4 * 3_000))}`;
      return [key, { value, lease }] as const;
    });
    const apply: Operation[] = deletes.map((key) => ({ type: 'delete', key }));
    for (const [key, { value, lease }] of puts) apply.push({ type: 'put', key, value, lease });
    const answered = engine.commit({ apply });
    this.#issue({ puts, deletes });
    this.#acknowledge((await answered).revision);
  }

  async #grant(engine: Engine): Promise<void> {
    const { id } = await engine.grant(1_000_000);
    this.#leases.push({ id, granted: true, acknowledged: true });
    this.#report({ type: 'lease', id, granted: true, acknowledged: true });
  }

  async #revoke(engine: Engine): Promise<void> {
    const event = this.#leases.find(({ granted, acknowledged }) => granted && acknowledged);
    if (event === undefined) return;
    const answered = engine.revoke(event.id);
    const ended = { id: event.id, granted: false, acknowledged: false };
    this.#leases.splice(this.#leases.indexOf(event), 1, ended);
    this.#report({ type: 'lease', ...ended });
    const held = [...this.#state].filter(([, { lease }]) => lease === event.id).map(([key]) => key);
    this.#issue({ puts: [], deletes: held });
    const { revision } = await answered;
    ended.acknowledged = true;
    this.#report({ type: 'lease', ...ended });
    this.#acknowledge(revision);
  }

  #acknowledge(revision: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, revision);
    this.#report({ type: 'acknowledged', revision });
  }

  /** The engine evaluates in the order of the calls, within the call. */
  #issue({ puts, deletes }: Omit<Write, 'revision'>): void {
    const gone = deletes.filter((key) => this.#state.has(key));
    if (puts.length === 0 && gone.length === 0) return;
    const write: Write = { revision: ++this.#head, puts, deletes: gone };
    this.#writes.push(write);
    this.#report({ type: 'issued', write });
    applyWrite(this.#state, write);
  }
}

function applyWrite(state: Contents, { puts, deletes }: Write): void {
  for (const key of deletes) state.delete(key);
  for (const [key, entry] of puts) state.set(key, entry);
}
