import {
  type CallOptions,
  type DeadLetter,
  type DeadLetterCall,
  type DeadLetterPage,
  type Engine,
  WaymarkError,
} from 'waymark/engine';
import { readLimit } from './desk-list.js';
import { endpointKey, letterKey, lettersAgainKey, ofEndpoint } from './keys.js';
import { type BacklogRecord, decodeRecord, encodeRecord, type LetterRecord } from './records.js';

/** Values of letters are as large as any: a page is short. */
const pageMax = 100;

/** Oldest first. */
export async function lettersOf(
  engine: Engine,
  endpoint: string,
  { signal, limit, after }: DeadLetterCall,
): Promise<DeadLetterPage> {
  if (after !== undefined && !/^[\w.-]{1,80}$/.test(after))
    throw new WaymarkError('invalid', '`after` is the id of a dead letter');
  const range = ofEndpoint('d', endpoint);
  const key = after === undefined ? range.key : `${letterKey(endpoint, after)}\0`;
  const most = Math.min(readLimit(limit), pageMax);
  const query = { ...range, key, limit: most, uncounted: true };
  const { entries, more } = await engine.read(query, { signal });
  return { letters: entries.map(({ value }) => letterOf(decodeRecord(value))), more };
}

/** Asks for all of them once more; each goes when it was accepted. @returns how many there are */
export async function replayLetters(
  engine: Engine,
  endpoint: string,
  call: CallOptions,
): Promise<number> {
  const { count } = await engine.read({ ...ofEndpoint('d', endpoint), countOnly: true }, call);
  if (count === 0) return 0;
  const record: BacklogRecord = { after: 0, replay: true, letters: true };
  const key = lettersAgainKey(endpoint);
  const { succeeded } = await engine.commit(
    {
      when: [{ key: endpointKey(endpoint), target: 'version', is: '>', to: 0 }],
      apply: [{ type: 'put', key, value: encodeRecord(record) }],
    },
    call,
  );
  return succeeded ? count : 0;
}

/** @returns how many there were */
export async function dropLetters(
  engine: Engine,
  endpoint: string,
  call: CallOptions,
): Promise<number> {
  const { results } = await engine.commit(
    { apply: [{ type: 'delete', ...ofEndpoint('d', endpoint) }] },
    call,
  );
  return results.reduce((sum, one) => sum + (one.type === 'delete' ? one.deleted : 0), 0);
}

function letterOf({ sequence, index: _, ...letter }: LetterRecord): DeadLetter {
  return { id: sequence, ...letter };
}
