import type { Engine, Entry } from '../core/engine.js';
import type { PermitParty, SemaphoreExplanation } from '../space/semaphore-types.js';
import { tellCycle, waitCycle } from './wait-cycle.js';
import { countOf } from './wording.js';
import { aheadIn, decodePlace, type StoredLimit } from './semaphore-queue.js';

interface Asked {
  readonly path: string;
  readonly weight: number;
  readonly parties: number;
  readonly stored: StoredLimit;
  readonly queue: readonly Entry[];
  readonly revision: number;
}

/** Who holds, who waits, since when, and why a request of this weight would not be granted now; at one revision. */
export async function explainSemaphore(
  engine: Engine,
  asked: Asked,
): Promise<SemaphoreExplanation> {
  const { path, parties, stored, queue, revision } = asked;
  const { held, used } = aheadIn(queue, stored);
  const holding = held.size;
  const facts = {
    path,
    revision,
    limit: stored.limit,
    used,
    holding,
    waiting: queue.length - holding,
  };
  const holders = queue.slice(0, Math.min(holding, parties)).map((entry) => party(entry, true));
  const waiters = queue.slice(holding, holding + parties).map((entry) => party(entry, false));
  const among = queue.map(({ value, lease }) => ({ session: decodePlace(value).session, lease }));
  const cycle = facts.waiting === 0 || parties === 0 ? [] : await waitCycle(engine, among);
  const summary = `${inUse(facts, queue)}; ${outlook(facts, asked.weight)}${tellCycle(cycle)}`;
  return { ...facts, holders, waiters, cycle, summary };
}

function party({ value, createRevision, modRevision, lease }: Entry, holds: boolean): PermitParty {
  const { owner, weight } = decodePlace(value);
  if (!holds) return { owner, weight, since: createRevision, lease };
  return { owner, weight, since: modRevision, token: createRevision, lease };
}

type Facts = Omit<SemaphoreExplanation, 'holders' | 'waiters' | 'cycle' | 'summary'>;

function inUse({ path, used, limit, holding }: Facts, queue: readonly Entry[]): string {
  const [oldest] = queue;
  if (holding === 0 || oldest === undefined) return `none of ${limit} permits of ${path} is in use`;
  const { owner, since } = party(oldest, true);
  const others = holding > 1 ? ` and ${holding - 1} more hold` : ' holds';
  return `${owner}${others} ${used} of ${limit} permits of ${path}, since revision ${since}`;
}

function outlook({ used, limit, waiting }: Facts, weight: number): string {
  const queued = countOf(waiting);
  const asked = `a request of weight ${weight}`;
  if (weight > limit) return `${queued}; ${asked} never fits`;
  if (waiting > 0) return `${queued}; ${asked} would wait behind them`;
  const free = Math.max(0, limit - used);
  return weight <= free
    ? `${queued}; ${asked} fits now`
    : `${queued}; ${asked} would wait: ${free} free`;
}
