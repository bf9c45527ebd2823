import { isWaymarkError, WaymarkError } from '../core/errors.js';

/** How a recipe speaks of what it gives, in messages and explanations. */
export interface Wording {
  /** 'lock', 'term': what ends with its lease. */
  readonly hold: string;
  /** 'the lock on /a' */
  readonly title: (path: string) => string;
  /** What to do when it is lost. */
  readonly again: string;
  /** 'holds the exclusive lock on /a since revision 7'. @param kind  empty, or with a space behind it */
  readonly holding: (path: string, since: number, kind: string) => string;
  /** Nobody holds it, or waits. */
  readonly free: (path: string) => string;
  /** 'waits', and of several 'wait' */
  readonly waiting: readonly [one: string, several: string];
  /** For who asks for what its own session holds or waits for. */
  readonly own: (path: string) => string;
}

const waits = ['waits', 'wait'] as const;

export const lockWords: Wording = {
  hold: 'lock',
  title: (path) => `the lock on ${path}`,
  again: 'take it anew',
  holding: (path, since, kind) => `holds the ${kind}lock on ${path} since revision ${since}`,
  free: (path) => `${path} is free`,
  waiting: waits,
  own: (path) => {
    const what = `holds or waits for what conflicts with a lock on ${path}`;
    return `this session itself ${what}: release it first, or upgrade`;
  },
};

export const electionWords: Wording = {
  hold: 'term',
  title: (path) => `the term of ${path}`,
  again: 'campaign anew',
  holding: (path, since) => `leads ${path} in term ${since}`,
  free: (path) => `nobody leads ${path}`,
  waiting: ['stands', 'stand'],
  own: (path) => `this session itself leads ${path} or stands for it: resign first`,
};

export const scheduleWords: Wording = {
  ...electionWords,
  title: (path) => `the term of the schedule ${path}`,
  holding: (path, since) => `runs the schedule ${path} since revision ${since}`,
  free: (path) => `nobody runs the schedule ${path}`,
};

export const onceWords: Wording = {
  hold: 'claim',
  title: (path) => `the claim on ${path}`,
  again: 'call once more',
  holding: (path, since) => `runs the job of ${path} since revision ${since}`,
  free: (path) => `nobody runs the job of ${path}`,
  waiting: waits,
  own: (path) => `this session itself runs the job of ${path} or waits for it`,
};

/** Of a lock or a term, where only its path and token are known. */
export const holdWords: Pick<Wording, 'title' | 'again'> = {
  title: (path) => `the hold on ${path}`,
  again: 'take it anew',
};

export const insideWords: Pick<Wording, 'title' | 'again'> = {
  title: (path) => `the place inside ${path}`,
  again: 'enter anew',
};

export function lostHold(path: string, words: Pick<Wording, 'title' | 'again'>): WaymarkError {
  const why = `${words.title(path)} is no longer held: ${words.again}`;
  return new WaymarkError('lost', why, { path });
}

/** A lease that is gone means that what was asked for under it is lost. @param hold  'lock' */
export function asLost(error: unknown, hold: string): unknown {
  if (!isWaymarkError(error, 'not_found')) return error;
  return new WaymarkError('lost', `the lease of this ${hold} has ended`, error.facts, error);
}

/** 'nobody waits', '1 waits', '2 wait' */
export function countOf(waiters: number, [one, several]: Wording['waiting'] = waits): string {
  if (waiters === 0) return `nobody ${one}`;
  return `${waiters} ${waiters === 1 ? one : several}`;
}
