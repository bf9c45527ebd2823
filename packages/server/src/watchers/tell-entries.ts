import type { Engine } from 'waymark/engine';
import { patternMatches } from './glob.js';
import type { LaneEvent } from './lane.js';
import type { ResyncState } from './records.js';
import type { WatcherView } from './registry.js';
import type { Teller, Told } from './teller.js';
import { stateEvents } from './telling.js';

export interface EntriesParts {
  readonly engine: Engine;
  readonly teller: Teller;
  /** In one delivery. */
  readonly most: number;
}

/**
 * Tells watchers what is there, in place of history that is gone. Where that was begun before, it goes on.
 *
 * @returns false when no more is to be told
 * @throws {WaymarkError} `compacted` when even that is gone by now
 */
export async function tellEntries(
  { engine, teller, most }: EntriesParts,
  resync: ResyncState,
  watchers: readonly WatcherView[],
  moved: Told['moved'],
): Promise<boolean> {
  const namespaces = [...new Set(watchers.map(({ record }) => record.namespace))];
  const matching = matchingOf(watchers);
  const { cursor } = teller.state;
  const after = cursor.resync === resync ? cursor.index : -1;
  let gathered: LaneEvent[] = [];
  const tell = async (): Promise<boolean> => {
    const last = gathered.at(-1);
    if (last === undefined) return true;
    const portion = { events: gathered, part: undefined, through: last.position };
    gathered = [];
    return await teller.tell({ portion, replay: false, moved });
  };
  for await (const event of stateEvents(engine, resync, { namespaces, watchers }, matching)) {
    if (event.position.index <= after) continue;
    gathered.push(event);
    if (gathered.length >= most && !(await tell())) return false;
  }
  return await tell();
}

function matchingOf(
  watchers: readonly WatcherView[],
): (namespace: string, path: string) => string[] {
  const read = watchers.map(({ id, record }) => {
    return { id, namespace: record.namespace, matches: patternMatches(record.pattern) };
  });
  return (namespace, path) =>
    read
      .filter((one) => one.namespace === namespace && one.matches(path))
      .map(({ id }) => id)
      .toSorted();
}
