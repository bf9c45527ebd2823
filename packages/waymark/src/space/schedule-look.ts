import type { Entry } from '../core/engine.js';
import { bytesToText, textToBytes } from '../core/bytes.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { decodeSettled } from '../recipes/schedule.js';
import { dueTimes } from './due-times.js';
import { facetPage } from './facet-pages.js';
import { scheduleFacet, scheduleStateFacet } from './layout.js';
import type { NamespacePlace } from './namespace.js';
import type { ScheduleState, When } from './once-types.js';
import type { ListCall, Page } from './types.js';

/** Who leads a schedule writes beside its name when the job is due: the next due time is known as long as somebody leads. */
export function encodeWhen(when: When): string {
  return textToBytes(JSON.stringify(when));
}

/** The schedules at a path and below it, at one revision. */
export async function listSchedules(
  ns: NamespacePlace,
  path: string,
  call: ListCall,
): Promise<Page<ScheduleState>> {
  const marks = `${scheduleFacet}h`;
  const page = await facetPage(ns, path, [marks, scheduleStateFacet], call);
  const now = ns.space.clock.wallNow();
  const entries = page.entries.map(({ path: at, of }) =>
    stateOf(at, { mark: of.get(marks), settled: of.get(scheduleStateFacet), now }),
  );
  return { ...page, entries };
}

function stateOf(
  path: string,
  found: {
    readonly mark: Entry | undefined;
    readonly settled: Entry | undefined;
    readonly now: number;
  },
): ScheduleState {
  const { mark, now } = found;
  const settled = found.settled === undefined ? null : decodeSettled(found.settled);
  const last = settled?.ran ?? null;
  if (mark === undefined) return { path, leader: null, when: null, last, next: null };
  const { owner, says } = decodeParty(mark.value);
  const when = says === undefined ? null : (JSON.parse(bytesToText(says)) as When);
  // While a job runs, what becomes due meanwhile is missed: the next is later than both.
  const next = when === null ? null : dueTimes(when).next(Math.max(settled?.at ?? 0, now));
  return {
    path,
    leader: { owner, term: mark.createRevision, lease: mark.lease },
    when,
    last,
    next,
  };
}
