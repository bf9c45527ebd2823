import type { Entry } from '../core/engine.js';
import type { Explanation } from '../core/host.js';
import { tellCycle } from '../recipes/wait-cycle.js';
import { countOf } from '../recipes/wording.js';
import { explainOnce as explainCall } from '../recipes/once.js';
import { decodeParty } from '../recipes/lock-queue.js';
import { decodeValue, json } from './codecs.js';
import { facetPage } from './facet-pages.js';
import { onceFacet, onceOutcomeFacet } from './layout.js';
import type { NamespacePlace } from './namespace.js';
import type { OnceOutcome } from './once.js';
import type { OnceExplanation, OnceState } from './once-types.js';
import type { Call, ListCall, Page } from './types.js';

type Facts = Omit<OnceState, 'path'>;

/** One job: what became of it, who runs it, who waits; at one revision. */
export async function explainOnce(
  { space, host, name }: NamespacePlace,
  path: string,
  call: Call,
): Promise<OnceExplanation> {
  space.checkOpen();
  const { queue, record, at } = await host.run(explainCall, name, { path }, call);
  const { holders, waiters, cycle, revision } = queue;
  const [holder] = holders;
  const facts =
    record === null
      ? running(holder && { owner: holder.owner, since: holder.since })
      : recorded(path, record, at);
  return {
    path,
    ...facts,
    revision,
    holders,
    waiters,
    cycle,
    summary: summaryOf(path, facts, queue) + tellCycle(cycle),
  };
}

/** The jobs that run or were recorded at a path and below it, at one revision. */
export async function listOnce(
  ns: NamespacePlace,
  path: string,
  call: ListCall,
): Promise<Page<OnceState>> {
  const marks = `${onceFacet}h`;
  const page = await facetPage(ns, path, [marks, onceOutcomeFacet], call);
  const entries = page.entries.map(({ path: at, of }) => {
    const outcome = of.get(onceOutcomeFacet);
    const facts =
      outcome === undefined
        ? running(runnerIn(of.get(marks)))
        : recorded(at, outcome.value, outcome.modRevision);
    return { path: at, ...facts };
  });
  return { ...page, entries };
}

function runnerIn(mark: Entry | undefined): Runner | undefined {
  return mark && { owner: decodeParty(mark.value).owner, since: mark.createRevision };
}

interface Runner {
  readonly owner: string;
  readonly since: number;
}

function running(runner: Runner | undefined): Facts {
  return runner === undefined
    ? { state: 'open', owner: null, since: null }
    : { state: 'running', ...runner };
}

function recorded(path: string, record: string, since: number): Facts {
  const { by: _by, owner, ...outcome } = decodeValue(json, path, record) as OnceOutcome;
  return { state: 'failed' in outcome ? 'failed' : 'done', owner, since, ...outcome };
}

function summaryOf(path: string, { state, owner, since }: Facts, { waiters }: Explanation): string {
  const waiting = countOf(waiters.length);
  switch (state) {
    case 'open':
      return `the job of ${path} has not run; ${waiting}`;
    case 'running':
      return `${owner} runs the job of ${path} since revision ${since}; ${waiting}`;
    case 'done':
      return `the job of ${path} was done by ${owner}, recorded at revision ${since}`;
    case 'failed':
      return `the job of ${path} failed at ${owner}, recorded at revision ${since}: forget it to run it again`;
  }
}
