import type { Clock } from '../../core/clock.js';
import type { Entry, Query, Reading } from '../../core/engine.js';
import { CallGroups } from './call-groups.js';
import type { Database } from './database.js';
import { refuseOther } from './facts.js';
import { bytesArray, readEntry } from './values.js';
import { bytesToText } from '../../core/bytes.js';

/** A group reads so many keys; each has up to a mebibyte. */
const groupMax = 64;
const onTheirWayMax = 4;

/** Reads of single keys that wait together are one statement, true at one revision. */
export class KeyReads {
  readonly #groups: CallGroups<string, Reading>;
  readonly #database: Database;
  readonly #identity: string;

  constructor(database: Database, identity: string, clock: Clock) {
    this.#database = database;
    this.#identity = identity;
    const send = (keys: readonly string[]): Promise<Reading[]> => this.#send(keys);
    this.#groups = new CallGroups({ clock, groupMax, onTheirWayMax, send });
  }

  async read({ key }: Query, signal: AbortSignal | undefined): Promise<Reading> {
    return await this.#groups.call(key, signal);
  }

  async #send(keys: readonly string[]): Promise<Reading[]> {
    const { s } = this.#database;
    const text = `select * from ${s}.look('{}', $1, '{}', '{}', '{}', '{}', '{}')`;
    const values = [bytesArray([...new Set(keys)])];
    const [meta, ...rows] = await this.#database.read(text, values, {});
    refuseOther(bytesToText(meta?.[1] as string), this.#identity);
    const revision = meta?.[3] as number;
    const entries = new Map<string, Entry>();
    for (const row of rows) {
      const entry = readEntry(row, 1);
      entries.set(entry.key, entry);
    }
    return keys.map((key) => {
      const entry = entries.get(key);
      const found = entry === undefined ? [] : [entry];
      return { revision, entries: found, more: false, count: found.length };
    });
  }
}
