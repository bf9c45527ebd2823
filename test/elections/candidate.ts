import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Hold, isWaymarkError, type Message, type Namespace, open } from 'waymark';
import { systemClock } from 'waymark/engine';
import { type Accepted, type Body, monotonicMs, type Told } from './told.js';

/** One process of the kills tests: stands, leads while it believes to lead, tells when that began and ended, and stands again. */
export interface CandidateTask {
  readonly url: string;
  readonly path: string;
  readonly ttlMs: number;
  /** It is a member of a group, and notes the messages it accepts in this file. */
  readonly accepted?: string | undefined;
}

const lookMs = 5;

/** When the time was last asked for, in the call that runs now: by the question whether it leads, where a handler is called. */
let askedAt: number | undefined;
const clock = {
  ...systemClock,
  now(): number {
    askedAt = monotonicMs();
    queueMicrotask(() => (askedAt = undefined));
    return systemClock.now();
  },
};

const task = JSON.parse(process.argv[2] ?? '{}') as CandidateTask;
// The test is gone: nobody is left to be told.
process.once('disconnect', () => process.exit());
const space = await open(task.url, { owner: `candidate-${process.pid}`, clock });
const elections = space.namespace('elections');
for (let stand = 0; ; stand++) {
  try {
    if (task.accepted === undefined) await standInElection(elections, task);
    else await standInGroup(elections, task, `${process.pid}-${stand}`, task.accepted);
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    await sleep(50);
  }
}

async function standInElection(ns: Namespace, { path, ttlMs }: CandidateTask): Promise<void> {
  tell({ kind: 'standing' });
  await lead(await ns.election(path).campaign({ ttlMs }));
}

async function standInGroup(
  ns: Namespace,
  { path, ttlMs }: CandidateTask,
  id: string,
  accepted: string,
): Promise<never> {
  const file = openSync(accepted, 'a');
  const handle = ({ body, term }: Message): unknown => {
    const { message, fails } = body as Body;
    // A stop between the question whether it leads and this line is no fault of a leader's.
    const believedAt = askedAt ?? monotonicMs();
    const note: Accepted = { message, term: term ?? 0, by: id, believedAt };
    // In the kernel before the reply: what was accepted is known though the process is killed.
    writeSync(file, `${JSON.stringify(note)}\n`);
    if (fails) throw new Error('the handler says no');
    return { term };
  };
  const membership = await ns.members(path).join({ id, lead: true, ttlMs, handle });
  tell({ kind: 'standing' });
  for (;;) await lead(await membership.elected());
}

async function lead(term: Hold): Promise<void> {
  const { token } = term;
  let believedAt = monotonicMs();
  tell({ kind: 'elected', term: token, at: believedAt });
  let signalAt = 0;
  term.signal.addEventListener('abort', () => (signalAt = monotonicMs()), { once: true });
  for (;;) {
    const at = monotonicMs();
    if (!term.isHeld()) break;
    believedAt = at;
    await sleep(lookMs);
  }
  tell({ kind: 'over', term: token, believedAt, signalAt });
}

function tell(told: Told): void {
  process.send?.(told);
}
