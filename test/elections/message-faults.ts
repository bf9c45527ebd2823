import type { Accepted } from './told.js';

/** What became of one message, as its sender has it. */
export interface Sent {
  readonly message: number;
  readonly deadlineMs: number;
  readonly sentAt: number;
  readonly endedAt: number;
  /** The greatest term that the sender knew of when it sent. */
  readonly knownTerm: number;
  readonly outcome: 'delivered' | 'refused' | 'unknown';
  readonly seen: boolean;
  /** Of a delivered one: who replied, and under which term. */
  readonly by: string | null;
  readonly term: number | null;
}

export interface Judged {
  readonly sent: readonly Sent[];
  readonly accepted: readonly Accepted[];
  /** In the order of the engine. */
  readonly terms: readonly { readonly term: number; readonly electedAt: number }[];
}

/** Beyond its deadline, for the way back and a machine that is busy. */
const lateMsMax = 2_000;

/** What breaks X3, X5 or X7 in a history of messages to leaders. */
export function messageFaults({ sent, accepted, terms }: Judged): string[] {
  const faults: string[] = [];
  const acceptances = new Map<number, Accepted[]>();
  for (const note of accepted) {
    acceptances.set(note.message, [...(acceptances.get(note.message) ?? []), note]);
  }
  for (const one of sent) {
    const notes = acceptances.get(one.message) ?? [];
    if (notes.length > 1) faults.push(`${one.message} was handled ${notes.length} times`);
    for (const note of notes) {
      if (note.term < one.knownTerm)
        faults.push(
          `${one.message} was accepted under ${note.term}, sent when ${one.knownTerm} led`,
        );
    }
    faults.push(...outcomeFaults(one, notes));
  }
  const leaders = new Map<number, string>();
  for (const { message, term, by, believedAt } of accepted) {
    const known = leaders.get(term) ?? by;
    leaders.set(term, known);
    if (known !== by) faults.push(`${known} and ${by} accepted messages under ${term}`);
    const at = terms.findIndex((one) => one.term === term);
    const next = terms[at + 1];
    if (at < 0) faults.push(`${message} was accepted under ${term}, which nobody led`);
    else if (next !== undefined && believedAt > next.electedAt)
      faults.push(`${message} was accepted under ${term} when ${next.term} led`);
  }
  return faults;
}

function outcomeFaults(one: Sent, [note]: readonly Accepted[]): string[] {
  const faults: string[] = [];
  const { message, outcome } = one;
  if (one.endedAt - one.sentAt > one.deadlineMs + lateMsMax)
    faults.push(`${message} ended after ${one.endedAt - one.sentAt} ms of ${one.deadlineMs}`);
  if (outcome === 'delivered' && (note?.by !== one.by || note?.term !== one.term))
    faults.push(`${message} is delivered to ${one.by}, and was not handled there`);
  if (outcome === 'refused' && !one.seen && note !== undefined)
    faults.push(`${message} is refused unseen, and was handled`);
  if (outcome === 'refused' && one.seen && note === undefined)
    faults.push(`${message} is refused by a handler that never saw it`);
  return faults;
}
