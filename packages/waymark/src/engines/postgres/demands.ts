import type { Check, KeyRange, LeaseId, Operation, Query, Txn } from '../../core/engine.js';
import { boundsOf } from './key-sql.js';
import { bytesArray, plainArray } from './values.js';
import type { Value } from './database.js';

interface RangeDemand {
  readonly range: KeyRange;
  /** Only so many of the first entries matter, as long as none of them is deleted. */
  readonly first: number | undefined;
  readonly values: boolean;
}

/**
 * What must be known of the database to evaluate a group of commits: the entries that its checks and operations look at, of either
 * branch. Values only where they are read, and of a range that is asked for being empty only as many entries as the group could delete.
 */
export class Demands {
  readonly #keys = new Set<string>();
  readonly #fullKeys = new Set<string>();
  /** By start and end: a group often asks for the same many times. */
  readonly #ranges = new Map<string, RangeDemand>();
  readonly #leases = new Set<LeaseId>();
  /** Reads of the past, which are answered before anything is evaluated. */
  readonly past: Query[] = [];
  writes = false;
  #deletedKeys = 0;

  add(txn: Txn): void {
    for (const check of txn.when ?? []) this.#check(check);
    for (const branch of [txn.apply ?? [], txn.otherwise ?? []]) {
      for (const operation of branch) this.#operation(operation);
    }
  }

  /** Parameters of the functions `load` and `look`. */
  parameters(): Value[] {
    const wide = [...this.#ranges.values()].filter(({ first }) => first === undefined);
    const ranges = [...this.#ranges.values()].filter((demand) => !isWithin(demand, wide));
    const bounds = ranges.map(({ range }) => boundsOf(range));
    const limits = ranges.map(({ first }) =>
      first === undefined ? null : first + this.#deletedKeys,
    );
    const keys = [...this.#keys].filter(
      (key) => !this.#fullKeys.has(key) && !isWithin({ range: { key }, values: false }, wide),
    );
    const fullKeys = [...this.#fullKeys].filter(
      (key) => !isWithin({ range: { key }, values: true }, wide),
    );
    return [
      bytesArray(keys),
      bytesArray(fullKeys),
      bytesArray(bounds.map(([start]) => start)),
      bytesArray(bounds.map(([, end]) => end)),
      plainArray(limits),
      plainArray(ranges.map(({ values }) => values)),
      plainArray([...this.#leases]),
    ];
  }

  #check(check: Check): void {
    const values = check.target === 'value';
    if (check.end === undefined) return this.#key(check.key, values);
    this.#range({ range: check, first: asksForNone(check) ? 1 : undefined, values });
  }

  #operation(operation: Operation): void {
    if (operation.type === 'txn') return this.add(operation.txn);
    if (operation.type === 'read') return this.#read(operation);
    this.writes = true;
    const values = operation.previous === true;
    if (operation.type === 'put') {
      this.#key(operation.key, values || operation.keepValue === true);
      const { lease } = operation;
      if (lease !== undefined && lease !== 0) this.#leases.add(lease);
    } else if (operation.end === undefined) {
      this.#deletedKeys++;
      this.#key(operation.key, values);
    } else {
      this.#range({ range: operation, first: undefined, values });
    }
  }

  #read(query: Query): void {
    if (query.at !== undefined) return void this.past.push(query);
    const values = query.keysOnly !== true && query.countOnly !== true;
    if (query.end === undefined) return this.#key(query.key, values);
    this.#range({ range: query, first: undefined, values: values || query.orderBy === 'value' });
  }

  #key(key: string, value: boolean): void {
    (value ? this.#fullKeys : this.#keys).add(key);
  }

  #range(demand: RangeDemand): void {
    const { key, end } = demand.range;
    const name = `${key}\xff\0${end ?? ''}`;
    const known = this.#ranges.get(name);
    if (known === undefined) {
      this.#ranges.set(name, demand);
      return;
    }
    const first = known.first === undefined ? undefined : demand.first;
    this.#ranges.set(name, { ...known, first, values: known.values || demand.values });
  }
}

/** As many ranges are looked at for whether they hold others. */
const wideMax = 32;

/** Whether another, that is read whole, brings what this one asks for. */
function isWithin(
  demand: Pick<RangeDemand, 'range' | 'values'>,
  wide: readonly RangeDemand[],
): boolean {
  const { key, end } = demand.range;
  return wide.slice(0, wideMax).some((other) => {
    if (other === demand || (demand.values && !other.values)) return false;
    const { key: start, end: limit = '' } = other.range;
    if (key < start) return false;
    if (end === undefined) return limit === '' || key < limit;
    if (limit === '') return key > start || end !== '';
    return end !== '' && end <= limit && (key > start || end < limit);
  });
}

/** Whether the check holds exactly when the range is empty: what lives has none of these at 0. */
export function asksForNone({ target, is, to }: Check): boolean {
  const counted = target === 'version' || target === 'create' || target === 'mod';
  return counted && ((is === '=' && to === 0) || (is === '<' && to === 1));
}
