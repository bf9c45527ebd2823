import type { Batch, Change } from './engine.js';

/** The batch cut into its revisions, for what looks at one step after the other: how many come together is chance (K8). */
export function byRevision({ revision, changes }: Batch): readonly Batch[] {
  const steps: { readonly revision: number; readonly changes: Change[] }[] = [];
  for (const change of changes) {
    const { modRevision } = change.entry;
    const last = steps.at(-1);
    if (last?.revision === modRevision) last.changes.push(change);
    else steps.push({ revision: modRevision, changes: [change] });
  }
  return steps.length === 0 ? [{ revision, changes }] : steps;
}
