import { type ByteString, type KeyRange, textToBytes } from 'waymark/engine';

/**
 * Where the registry stands: at the root of the engine, beside the namespaces (`n/…`), where no path leads. No pattern ever matches it.
 *
 *   r/w/WATCHER            a watcher: what it watches, for whom, until when
 *   r/l/WATCHER            whether it is live: its modRevision is since when it is told of changes, or up to when it was
 *   r/i/ENDPOINT/WATCHER   that the watcher is one of the endpoint's, in the same commits as r/w
 *   r/e/ENDPOINT           an endpoint: its URI, sealed, and what its watchers share; put again with every registration. Its stream begins after its createRevision
 *   r/h/ENDPOINT           who delivers to it, under that processor's lease; its createRevision is the fence
 *   r/s/ENDPOINT           how far it has come; written by who holds it alone
 *   r/b/ENDPOINT/WATCHER   what a watcher is told late, up to its own modRevision: begun in the past, resumed, or asked to be replayed
 *   r/d/ENDPOINT/SEQUENCE  a dead letter
 *   r/t/ENDPOINT/REQUEST   a probe that waits for its turn, or what came of it
 *   r/p/PROCESSOR          a live processor, under its lease
 *   r/c/PROCESSOR          up to where all is told of what it holds and that has nothing waiting: its checkpoint
 *   r/v/ID                 what became of watchers
 *   r/m                    how endpoints are shared out
 *   r/u/NAMESPACE/NAME     the cursor of a reader in band
 *
 * WATCHER and ENDPOINT are SHA-256 in hexadecimal, so that no key holds a slash of its own.
 */
export const modeKey = 'r/m';

export const all = {
  watchers: facet('w'),
  lives: facet('l'),
  endpoints: facet('e'),
  holds: facet('h'),
  states: facet('s'),
  backlog: facet('b'),
  letters: facet('d'),
  probes: facet('t'),
  processors: facet('p'),
  checkpoints: facet('c'),
  events: facet('v'),
} as const;

export const watcherKey = (id: string): ByteString => `r/w/${id}`;
export const liveKey = (id: string): ByteString => `r/l/${id}`;
export const endpointKey = (id: string): ByteString => `r/e/${id}`;
export const holdKey = (endpoint: string): ByteString => `r/h/${endpoint}`;
export const stateKey = (endpoint: string): ByteString => `r/s/${endpoint}`;
export const backlogKey = (endpoint: string, watcher: string): ByteString =>
  `r/b/${endpoint}/${watcher}`;
/** That the endpoint's dead letters are to be told again. */
export const lettersAgainKey = (endpoint: string): ByteString => backlogKey(endpoint, 'letters');
export const letterKey = (endpoint: string, sequence: string): ByteString =>
  `r/d/${endpoint}/${sequence}`;
export const memberKey = (endpoint: string, watcher: string): ByteString =>
  `r/i/${endpoint}/${watcher}`;
export const probeKey = (endpoint: string, request: string): ByteString =>
  `r/t/${endpoint}/${request}`;
export const processorKey = (id: string): ByteString => `r/p/${id}`;
export const checkpointKey = (processor: string): ByteString => `r/c/${processor}`;
export const eventKey = (id: string): ByteString => `r/v/${id}`;

export const cursorKey = (namespace: string, name: string): ByteString =>
  cursorRange(namespace).key + textToBytes(name);

/** The cursors of a namespace's readers in band. */
export function cursorRange(namespace: string): {
  readonly key: ByteString;
  readonly end: ByteString;
} {
  const stem = `r/u/${textToBytes(namespace)}`;
  return { key: `${stem}/`, end: `${stem}0` };
}

/** All that goes with a watcher. */
export function keysOfWatcher(endpoint: string, watcher: string): readonly ByteString[] {
  const own = [watcherKey(watcher), liveKey(watcher)];
  return [...own, memberKey(endpoint, watcher), backlogKey(endpoint, watcher)];
}

/** What a facet keeps for one endpoint alone. */
export function ofEndpoint(part: 'b' | 'd' | 'i' | 't', endpoint: string): KeyRange {
  return { key: `r/${part}/${endpoint}/`, end: `r/${part}/${endpoint}0` };
}

/** The last part of a key of the registry. */
export function lastPart(key: ByteString): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

function facet(letter: string): KeyRange {
  return { key: `r/${letter}/`, end: `r/${letter}0` };
}
