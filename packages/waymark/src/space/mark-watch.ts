import type { Clock } from '../core/clock.js';
import type { ByteString, Engine } from '../core/engine.js';
import type { HeldKeys, HoldEnd } from '../core/host.js';
import { bytesToText } from '../core/bytes.js';
import { pause } from '../core/pause.js';
import { auditRange, markFacet, markKey, parseMark } from './layout.js';

/** What forceUnlock and the removal of a namespace leave behind, in the revision that ends the holds. */
export interface AuditRecord {
  readonly act: 'force-unlock' | 'remove-namespace';
  readonly path: string;
  readonly reason: string;
  readonly at: string;
}

/** After its watch ended. */
const againMs = 100;

/**
 * Tells holds that their mark is gone, and why: one watch over all marks of a namespace, whatever the number of holds. It starts with
 * the first hold and stays until the host closes.
 */
export class MarkWatch {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #listeners = new Map<ByteString, (end: HoldEnd) => void>();
  #running: Promise<void> | undefined;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** @returns stops listening */
  listen(hold: HeldKeys, lost: (end: HoldEnd) => void): () => void {
    const key = markKey(hold);
    this.#listeners.set(key, lost);
    this.#running ??= this.#run();
    void this.#confirm(key);
    // A client that came back listens anew, before its former connection is taken for dead.
    return () => {
      if (this.#listeners.get(key) === lost) this.#listeners.delete(key);
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#ended.abort();
    await this.#running;
  }

  /** The mark may have gone before the watch stood. */
  async #confirm(key: ByteString, how?: HoldEnd): Promise<void> {
    try {
      const { entries } = await this.#engine.read({ key });
      if (entries.length === 0) this.#tell(key, how ?? (await this.#howItEnded(key)));
    } catch {
      // The engine is out of reach: the hold's own deadline decides.
    }
  }

  /** The audit record, where there is one, else its lease ended. */
  async #howItEnded(key: ByteString): Promise<HoldEnd> {
    const newest = { orderBy: 'create', descending: true, limit: 20, uncounted: true } as const;
    const { entries } = await this.#engine.read({ ...auditRange, ...newest });
    const records = entries.map((entry) => JSON.parse(bytesToText(entry.value)) as AuditRecord);
    const { path } = parseMark(key);
    return endOf(
      'expire',
      records.find((record) => record.path === path),
    );
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      let stands = false;
      try {
        for await (const batch of this.#engine.watch([markFacet, auditRange], { signal })) {
          // From its first batch on it tells all; a mark may have gone between the look at it and then.
          if (!stands) for (const key of this.#listeners.keys()) void this.#confirm(key);
          stands = true;
          if (this.#listeners.size === 0) continue;
          const acts = new Map<number, AuditRecord>();
          for (const { kind, entry } of batch.changes) {
            if (kind === 'put' && entry.key.startsWith(auditRange.key)) {
              acts.set(entry.modRevision, JSON.parse(bytesToText(entry.value)) as AuditRecord);
            }
          }
          for (const { kind, entry } of batch.changes) {
            if (kind === 'put') continue;
            const act = acts.get(entry.modRevision);
            const end = endOf(kind, act);
            // A conversion takes the mark away as well, and may have brought it back since.
            if (kind === 'expire' || act !== undefined) this.#tell(entry.key, end);
            else if (this.#listeners.has(entry.key)) void this.#confirm(entry.key, end);
          }
        }
      } catch {
        // Behind history, or the engine was out of reach: from its first batch on the next watch tells all.
      }
      await pause(this.#clock, againMs, signal).catch(() => undefined);
    }
  }

  #tell(key: ByteString, end: HoldEnd): void {
    const lost = this.#listeners.get(key);
    this.#listeners.delete(key);
    lost?.(end);
  }
}

function endOf(kind: 'delete' | 'expire', act: AuditRecord | undefined): HoldEnd {
  if (act !== undefined)
    return { kind: act.act === 'force-unlock' ? 'forced' : 'removed', detail: act.reason };
  if (kind === 'expire') return { kind: 'expired', detail: 'its lease ended' };
  return { kind: 'released', detail: 'it was released' };
}
