import type { Clock, PutOperation, Random, WatcherEvent, WatcherEventKind } from 'waymark/engine';
import { shownUri } from '../endpoints/kit/uri.js';
import { eventKey } from './keys.js';
import { encodeRecord } from './records.js';

/** Named in one event at most. */
const watchersMax = 100;

export type EventRecord = Omit<WatcherEvent, 'id'>;

/** An event of the registry, to be put with what it tells of. */
export function eventPut(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  told: {
    readonly kind: WatcherEventKind;
    readonly watchers: readonly string[];
    /** Of the endpoint; empty where it concerns none. */
    readonly normal: string;
    readonly detail: string;
  },
): PutOperation {
  const { kind, detail, normal } = told;
  const watchers = told.watchers.slice(0, watchersMax);
  const endpoint = shownUri(normal);
  const record: EventRecord = { at: clock.wallNow(), kind, watchers, endpoint, detail };
  return { type: 'put', key: eventKey(random.id()), value: encodeRecord(record) };
}
