import type { Clock } from '../../core/clock.js';
import type { CommitOptions, Outcome, Query, Reading, Txn } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { soon } from '../../core/soon.js';
import { evaluate } from '../kit/transaction.js';
import { BlindGroup } from './blind-writes.js';
import type { Database, Statement, Transaction } from './database.js';
import { Demands } from './demands.js';
import { refuseOther } from './facts.js';
import { LoadedState } from './loaded-state.js';
import { readingOf, readStatement } from './read-sql.js';
import { bytesArray, plainArray } from './values.js';

/** A group holds so many commits, and about so many bytes. */
const groupMax = 512;
const groupBytesMax = 4 * 1_048_576;
/** Commits that wait for one that hangs are refused beyond so many. */
const waitingMax = 65_536;

interface Waiting {
  readonly txn: Txn;
  readonly bytes: number;
  readonly since: number;
  readonly signal: AbortSignal | undefined;
  sent: boolean;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

export interface CommitGroupsOptions {
  readonly database: Database;
  readonly identity: string;
  readonly clock: Clock;
  /** Told when something was committed. */
  readonly committed: () => void;
}

/**
 * Commits that come while one transaction of the database is on its way make up the next: each is evaluated on what those before it have
 * left, and gets a revision of its own. One that comes alone is sent at once.
 */
export class CommitGroups {
  readonly #options: CommitGroupsOptions;
  #waiting: Waiting[] = [];
  #running = false;
  #scheduled = false;
  #closed = false;

  constructor(options: CommitGroupsOptions) {
    this.#options = options;
  }

  commit(txn: Txn, { signal }: CommitOptions = {}): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= waitingMax) {
        throw new WaymarkError('overloaded', `${waitingMax} commits wait for PostgreSQL already`);
      }
      const abort = (): void => this.#abort(waiting);
      const settled = (): void => signal?.removeEventListener('abort', abort);
      const waiting: Waiting = {
        txn,
        bytes: bytesOf(txn),
        since: this.#options.clock.now(),
        signal,
        sent: false,
        resolve: (outcome) => (settled(), resolve(outcome)),
        reject: (error) => (settled(), reject(error as Error)),
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(waiting);
      this.#schedule();
    });
  }

  /** Refuses what was not sent yet. */
  close(): void {
    this.#closed = true;
    const refused = this.#waiting;
    this.#waiting = [];
    for (const { reject } of refused) {
      reject(new WaymarkError('unavailable', 'the engine is closed'));
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#running || this.#closed) return;
    this.#scheduled = true;
    soon(this.#pump);
  }

  readonly #pump = (): void => {
    this.#scheduled = false;
    const group = this.#gather();
    if (group.length > 0) void this.#send(group);
  };

  #gather(): Waiting[] {
    this.#refuseLate();
    let count = 0;
    let bytes = 0;
    for (const { txn, bytes: more } of this.#waiting) {
      // What reads the past does so before anything is evaluated, and so alone.
      const alone = readsPast(txn);
      if (count > 0 && (alone || count >= groupMax || bytes + more > groupBytesMax)) break;
      count++;
      bytes += more;
      if (alone) break;
    }
    const group = this.#waiting.splice(0, count);
    for (const waiting of group) waiting.sent = true;
    return group;
  }

  #refuseLate(): void {
    const { clock, database } = this.#options;
    const limit = clock.now() - database.timeoutMs;
    while (this.#waiting[0] !== undefined && this.#waiting[0].since < limit) {
      const text = `PostgreSQL was busy with other commits for ${database.timeoutMs} ms`;
      this.#waiting.shift()?.reject(new WaymarkError('unavailable', text));
    }
  }

  async #send(group: readonly Waiting[]): Promise<void> {
    this.#running = true;
    try {
      const answers = await this.#run(group.map(({ txn }) => txn));
      for (const [index, waiting] of group.entries()) {
        const answer = answers[index] as Outcome | WaymarkError;
        if (answer instanceof WaymarkError) waiting.reject(answer);
        else waiting.resolve(answer);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    this.#running = false;
    if (this.#waiting.length > 0) this.#schedule();
  }

  /** Each commit's outcome, or the refusal of it alone. */
  async #run(txns: readonly Txn[]): Promise<(Outcome | WaymarkError)[]> {
    const { database, identity, committed } = this.#options;
    const blind = BlindGroup.of(txns);
    const outcomes = blind === null ? null : await this.#writeBlind(blind);
    if (outcomes !== null) return outcomes;
    const demands = new Demands();
    for (const txn of txns) demands.add(txn);
    if (!demands.writes && demands.past.length === 0) return await this.#look(txns, demands);
    let wrote = false;
    const answers = await database.transaction({}, async (tx) => {
      const state = await load(tx, database.s, demands, identity);
      const result = txns.map((txn) => evaluated(state, txn));
      wrote = state.changes.length > 0;
      return wrote
        ? { result, last: writeStatement(database.s, state) }
        : { result, rollback: true };
    });
    if (wrote) committed();
    return answers;
  }

  /** What looks at nothing need not be evaluated: the database does all of it in one statement. */
  async #writeBlind(group: BlindGroup): Promise<Outcome[] | null> {
    const { database, identity, committed } = this.#options;
    const rows = await database.alone(group.statement(database.s, identity));
    const outcomes = group.outcomes(rows, identity);
    if (outcomes !== null) committed();
    return outcomes;
  }

  /** A group that writes nothing takes no lock: one statement sees one state. */
  async #look(txns: readonly Txn[], demands: Demands): Promise<(Outcome | WaymarkError)[]> {
    const { database, identity } = this.#options;
    const text = `select * from ${database.s}.look($1, $2, $3, $4, $5, $6, $7)`;
    const rows = await database.read(text, demands.parameters(), {});
    const state = new LoadedState(rows, new Map());
    refuseOther(state.identity, identity);
    return txns.map((txn) => evaluated(state, txn));
  }

  #abort(waiting: Waiting): void {
    const reason: unknown = (waiting.signal as AbortSignal).reason;
    if (waiting.sent) {
      const text = 'given up while PostgreSQL had it: it may have been applied';
      return waiting.reject(new WaymarkError('uncertain', text, {}, reason));
    }
    this.#waiting = this.#waiting.filter((other) => other !== waiting);
    waiting.reject(reason);
  }
}

/** Locks the row of revisions, and reads what the group needs. */
async function load(
  tx: Transaction,
  s: string,
  demands: Demands,
  identity: string,
): Promise<LoadedState> {
  const rows = await tx.query(
    `select * from ${s}.load($1, $2, $3, $4, $5, $6, $7)`,
    demands.parameters(),
  );
  const past = new Map<Query, Reading>();
  const state = new LoadedState(rows, past);
  refuseOther(state.identity, identity);
  for (const query of demands.past) {
    const at = query.at as number;
    if (at < state.compacted || at > state.base) continue;
    const { text, values } = readStatement(s, query);
    past.set(query, readingOf(await tx.query(text, values), query, identity));
  }
  return state;
}

function evaluated(state: LoadedState, txn: Txn): Outcome | WaymarkError {
  try {
    const outcome = evaluate(state, txn, state.wrote);
    state.settle();
    return outcome;
  } catch (error) {
    if (error instanceof WaymarkError && error.code !== 'internal') return error;
    throw error;
  }
}

function writeStatement(s: string, { changes, head }: LoadedState): Statement {
  let revision = 0;
  let position = 0;
  const positions = changes.map(({ entry }) => {
    position = entry.modRevision === revision ? position + 1 : 0;
    revision = entry.modRevision;
    return position;
  });
  const entries = changes.map(({ entry }) => entry);
  return {
    text: `select ${s}.write($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    values: [
      plainArray(entries.map((entry) => entry.modRevision)),
      plainArray(positions),
      plainArray(changes.map(({ kind }) => kind)),
      bytesArray(entries.map((entry) => entry.key)),
      bytesArray(entries.map((entry) => entry.value)),
      plainArray(entries.map((entry) => entry.createRevision)),
      plainArray(entries.map((entry) => entry.version)),
      plainArray(entries.map((entry) => entry.lease)),
      head,
    ],
  };
}

function readsPast(txn: Txn): boolean {
  return [...(txn.apply ?? []), ...(txn.otherwise ?? [])].some((operation) =>
    operation.type === 'txn'
      ? readsPast(operation.txn)
      : operation.type === 'read' && operation.at !== undefined,
  );
}

function bytesOf(txn: Txn): number {
  let bytes = 0;
  for (const check of txn.when ?? []) bytes += check.key.length + 32;
  for (const operation of [...(txn.apply ?? []), ...(txn.otherwise ?? [])]) {
    if (operation.type === 'txn') bytes += bytesOf(operation.txn);
    else
      bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0) + 32;
  }
  return bytes;
}
