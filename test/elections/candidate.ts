import { setTimeout as sleep } from 'node:timers/promises';
import { isWaymarkError, open, type Term } from 'waymark';
import { monotonicMs, type Told } from './told.js';

/** One process of the kills test: stands, leads while it believes to lead, tells when that began and ended, and stands again. */
export interface CandidateTask {
  readonly url: string;
  readonly path: string;
  readonly ttlMs: number;
}

const lookMs = 5;

await stand(JSON.parse(process.argv[2] ?? '{}') as CandidateTask);

async function stand({ url, path, ttlMs }: CandidateTask): Promise<void> {
  // The test is gone: nobody is left to be told.
  process.once('disconnect', () => process.exit());
  const space = await open(url, { owner: `candidate-${process.pid}` });
  const election = space.namespace('elections').election(path);
  for (;;) {
    tell({ kind: 'standing' });
    try {
      await lead(await election.campaign({ ttlMs }));
    } catch (error) {
      if (!isWaymarkError(error)) throw error;
      await sleep(50);
    }
  }
}

async function lead(term: Term<unknown>): Promise<void> {
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
