import type { Engine, Entry } from '../core/engine.js';
import type { HoldProof } from '../core/host.js';
import { electionFacet, exactly, groupLeaderFacet, leaderRange } from '../space/layout.js';
import { pathToBytes, resolvePath } from '../space/paths.js';

/** The mark of a lock, of a leader, or of a group's leader that stands there with this token; null when the hold is over. */
export async function holdMark(
  engine: Pick<Engine, 'read'>,
  { path, token }: HoldProof,
): Promise<Entry | null> {
  const bytes = pathToBytes(resolvePath('/', path));
  const leaders = [electionFacet, groupLeaderFacet].map((facet) => leaderRange(bytes, facet));
  for (const range of [exactly('h', bytes), ...leaders]) {
    const { entries } = await engine.read(range);
    const mark = entries.find((entry) => entry.createRevision === token);
    if (mark !== undefined) return mark;
  }
  return null;
}
