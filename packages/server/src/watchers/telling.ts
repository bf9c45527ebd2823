import {
  type ByteString,
  bytesToArray,
  bytesToText,
  type Engine,
  namespacePrefix,
} from 'waymark/engine';
import type { DeliveredEvent } from '../endpoints/endpoint.js';
import { bytesOf, type LaneEvent } from './lane.js';
import { dataRange, eachRevision, pathOf, placed } from './matching.js';
import type { Position, ResyncState } from './records.js';
import type { BacklogView, EndpointView, WatcherView } from './registry.js';
import { indexOf, isAfter, sequenceOf, wholeRevision } from './sequence.js';

/** Where the events of an endpoint come from besides its lane, and how they are cut into deliveries. */

const pageSize = 500;

/** What one delivery tells, and where the stream stands once it was accepted. */
export interface Portion {
  readonly events: readonly LaneEvent[];
  readonly part: { readonly index: number; readonly of: number } | undefined;
  readonly through: Position;
}

export interface PortionLimits {
  readonly events: number;
  readonly bytes: number;
}

/** Whole revisions as many as fit; one that does not fit alone comes in parts. @param after  what of the first was told before */
export function* portionsOf(
  revisions: readonly (readonly LaneEvent[])[],
  limits: PortionLimits,
  after?: Position,
): Generator<Portion> {
  let gathered: LaneEvent[] = [];
  let gatheredBytes = 0;
  const whole = (events: readonly LaneEvent[]): Portion => {
    const { revision } = (events.at(-1) as LaneEvent).position;
    return { events, part: undefined, through: { revision, index: wholeRevision } };
  };
  const untold = (event: LaneEvent): boolean =>
    after === undefined || isAfter(event.position, after);
  for (const revision of revisions) {
    const events = revision.filter(untold);
    if (events.length === 0) continue;
    const bytes = bytesOf(events);
    if (fits(gathered.length + events.length, gatheredBytes + bytes, limits)) {
      gathered.push(...events);
      gatheredBytes += bytes;
      continue;
    }
    if (gathered.length > 0) yield whole(gathered);
    [gathered, gatheredBytes] = [[], 0];
    if (fits(events.length, bytes, limits)) [gathered, gatheredBytes] = [[...events], bytes];
    else for (const part of partsOf(revision, limits)) if (part.events.some(untold)) yield part;
  }
  if (gathered.length > 0) yield whole(gathered);
}

function* partsOf(events: readonly LaneEvent[], limits: PortionLimits): Generator<Portion> {
  const parts: LaneEvent[][] = [];
  let lastBytes = 0;
  for (const event of events) {
    const last = parts.at(-1);
    const bytes = bytesOf([event]);
    lastBytes += bytes;
    if (last !== undefined && fits(last.length + 1, lastBytes, limits)) {
      last.push(event);
      continue;
    }
    parts.push([event]);
    lastBytes = bytes;
  }
  for (const [at, part] of parts.entries()) {
    const { position } = part.at(-1) as LaneEvent;
    const last = at === parts.length - 1;
    const through = last ? { ...position, index: wholeRevision } : position;
    yield { events: part, part: { index: at + 1, of: parts.length }, through };
  }
}

function fits(events: number, bytes: number, limits: PortionLimits): boolean {
  return events <= limits.events && (events <= 1 || bytes <= limits.bytes);
}

/** What a watcher is told late, some revisions at a time, up to its own end. */
export async function* backlogRevisions(
  parts: { readonly engine: Engine; readonly identity: string; readonly signal: AbortSignal },
  backlog: { readonly key: ByteString; readonly view: BacklogView; readonly from: Position },
  matches: (path: string) => boolean,
  namespace: string,
): AsyncGenerator<LaneEvent[][]> {
  const { key, view, from } = backlog;
  const { engine, identity, signal } = parts;
  // A revision that was told in part is read again.
  const after = from.index === wholeRevision ? from.revision : from.revision - 1;
  if (after >= view.through) return;
  // Its own key is changed at its end: so the watch comes to it.
  const ranges = [dataRange(namespace), { key }];
  const watchers = [view.watcher];
  for await (const batch of engine.watch(ranges, { after, identity, signal })) {
    const told: LaneEvent[][] = [];
    const wanted = (_namespace: string, path: ByteString): true | null =>
      matches(bytesToText(path)) || null;
    eachRevision(batch, (revision, _registry, data) => {
      if (revision > view.through) return false;
      const events: LaneEvent[] = [];
      placed(data, wanted, (change) => events.push({ ...change, watchers }));
      if (events.length > 0) told.push(events);
      return true;
    });
    if (told.length > 0) yield told;
    if (batch.revision >= view.through) return;
  }
}

/** What is there at a revision in place of the history that is gone: first that it is so, then every entry. */
export async function* stateEvents(
  engine: Engine,
  { from, at }: ResyncState,
  told: { readonly namespaces: readonly string[]; readonly watchers: readonly WatcherView[] },
  matching: (namespace: string, path: string) => readonly string[],
): AsyncGenerator<LaneEvent> {
  const watchers = told.watchers.map((one) => one.id).toSorted();
  const marker = { position: { revision: at, index: 0 }, kind: 'resync', path: '/' } as const;
  const value = JSON.stringify({ from, to: at });
  yield { ...marker, namespace: told.namespaces[0] ?? '', value, watchers };
  const byCode = (a: string, b: string): number => indexOf(a, 0) - indexOf(b, 0);
  for (const namespace of told.namespaces.toSorted(byCode)) {
    const facet = namespacePrefix(namespace).length + 1;
    let rank = 0;
    for (let range = dataRange(namespace); ;) {
      const page = await engine.read({ ...range, at, limit: pageSize, uncounted: true });
      for (const entry of page.entries) {
        rank += 1;
        const path = pathOf(entry.key.slice(facet));
        const own = matching(namespace, path);
        if (own.length === 0) continue;
        const position = { revision: at, index: indexOf(namespace, rank) };
        yield {
          position,
          kind: 'put',
          namespace,
          path,
          value: entry.value,
          watchers: own,
          state: true,
        };
      }
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) break;
      range = { ...range, key: `${last.key}\0` };
    }
  }
}

/** As drivers are given them: with their place in the stream, and what became of their watchers since. */
export function delivered(
  events: readonly LaneEvent[],
  stream: { readonly era: number; readonly last: string; readonly replay: boolean },
  endpoint: EndpointView,
): DeliveredEvent[] {
  const registered = (id: string): boolean => endpoint.watchers.has(id);
  let previous = stream.last;
  const told: DeliveredEvent[] = [];
  for (const event of events) {
    const { position, kind, namespace, path, state } = event;
    const watchers = event.watchers.every(registered)
      ? event.watchers
      : event.watchers.filter(registered);
    if (watchers.length === 0) continue;
    const sequence = sequenceOf(stream.era, position);
    const { revision, index } = position;
    const valued = kind === 'put' || kind === 'resync';
    told.push({
      id: `${revision}.${index}${state === true ? 's' : ''}`,
      kind,
      namespace,
      path,
      revision,
      sequence,
      previous,
      watchers,
      ...(valued && { value: bytesToArray(event.value) }),
      ...(state === true && { state }),
      ...(stream.replay && { replay: true }),
    });
    previous = sequence;
  }
  return told;
}
