import type { Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';

export function futureRevision(at: Revision, revision: Revision): WaymarkError {
  const text = `revision ${at} is above the present, ${revision}`;
  return new WaymarkError('future_revision', text, { revision });
}

/** @throws {WaymarkError} `superseded` when another schema has taken the place of the one that was opened */
export function refuseOther(identity: string, opened: string): void {
  if (identity === opened) return;
  const text = `the schema of engine ${opened} was given to another: open it again`;
  throw new WaymarkError('superseded', text);
}
