import type {
  ByteString,
  Check,
  DeleteOperation,
  Entry,
  Operation,
  OperationResult,
  Outcome,
  PutOperation,
  Revision,
  Txn,
} from '../../core/engine.js';
import { bytesToText } from '../../core/bytes.js';
import type { Statement } from './database.js';
import { asksForNone } from './demands.js';
import { refuseOther } from './facts.js';
import { boundsOf } from './key-sql.js';
import { bytesArray, plainArray, readEntry, type Row } from './values.js';

/** A commit that is one write of one key. */
type BlindWrite = PutOperation | DeleteOperation;

/** Ranges that must be empty are few: a guard of writes asks for one in each namespace. */
const rangesMax = 16;

/** A group whose commits depend on nothing but on ranges being empty: see blind-sql.ts. */
export class BlindGroup {
  readonly #writes: BlindWrite[] = [];
  readonly #keys = new Set<ByteString>();
  /** Each as its bounds, by both. */
  readonly #ranges = new Map<string, readonly [ByteString, ByteString]>();
  #last: Check | null = null;

  /** @returns null when something in it has to be looked at, or one sees what another has left: a key, or a range that is not empty then */
  static of(txns: readonly Txn[]): BlindGroup | null {
    const group = new BlindGroup();
    return txns.every((txn) => group.#add(txn)) && group.#apart() ? group : null;
  }

  statement(s: string, identity: string): Statement {
    const writes = this.#writes;
    const values = writes.map((write) => (write.type === 'put' ? write.value : null));
    const asked = writes.some(asks)
      ? writes.map((write) => (asks(write) ? write.previous === true : null))
      : [];
    const ranges = [...this.#ranges.values()];
    return {
      text: `select * from ${s}.write_blind($1, $2, $3, $4, $5, $6)`,
      values: [
        identity,
        bytesArray([...this.#keys]),
        bytesArray(values),
        plainArray(asked),
        bytesArray(ranges.map(([start]) => start)),
        bytesArray(ranges.map(([, end]) => end)),
      ],
    };
  }

  /**
   * @returns null when a range was not empty, and nothing was written
   * @throws {WaymarkError} `superseded`, and nothing was written
   */
  outcomes(rows: readonly Row[], identity: string): Outcome[] | null {
    const [meta, ...found] = rows as [Row, ...Row[]];
    refuseOther(bytesToText(meta[1] as string), identity);
    if (meta[0] === 'taken') return null;
    const there = new Map<ByteString, Entry>();
    for (const row of found) there.set(row[1] as ByteString, readEntry(row, 1));
    let revision = meta[3] as Revision;
    return this.#writes.map((write) => {
      const entry = there.get(write.key);
      if (write.type === 'put' || entry !== undefined) revision++;
      return { revision, succeeded: true, results: [resultOf(write, entry)] };
    });
  }

  #add({ when = [], apply = [] }: Txn): boolean {
    const [write] = apply;
    if (write === undefined || apply.length > 1 || !isBlind(write)) return false;
    if (this.#keys.has(write.key)) return false;
    this.#writes.push(write);
    this.#keys.add(write.key);
    return when.every((check) => this.#insist(check));
  }

  #insist(check: Check): boolean {
    if (check === this.#last) return true;
    if (!asksForNone(check)) return false;
    const bounds = boundsOf(check);
    this.#ranges.set(bounds.join('\xff\0'), bounds);
    this.#last = check;
    return this.#ranges.size <= rangesMax;
  }

  /** Whether no range has a key of the group. */
  #apart(): boolean {
    for (const [start, end] of this.#ranges.values()) {
      for (const key of this.#keys) {
        if (key >= start && key < end) return false;
      }
    }
    return true;
  }
}

/** Whether what it does depends on nothing that is there. */
function isBlind(operation: Operation): operation is BlindWrite {
  if (operation.type === 'delete') return operation.end === undefined;
  if (operation.type !== 'put') return false;
  const { lease = 0, keepValue = false, keepLease = false } = operation;
  return lease === 0 && !keepValue && !keepLease;
}

/** Whether the answer tells what was there. */
function asks(write: BlindWrite): boolean {
  return write.type === 'delete' || write.previous === true;
}

function resultOf({ type, previous }: BlindWrite, entry: Entry | undefined): OperationResult {
  if (type === 'put') {
    return previous === true ? { type, previous: entry ?? null } : { type };
  }
  const removed = entry === undefined ? [] : [entry];
  const deleted = removed.length;
  return previous === true ? { type, deleted, previous: removed } : { type, deleted };
}
