import type { CallOptions, SecretsKeys } from 'waymark/engine';
import { everyEntry, untilWon } from './desk-reads.js';
import { keyOf, resealed } from './endpoint-secrets.js';
import { all, endpointKey, lastPart } from './keys.js';
import { decodeRecord, encodeRecord, type EndpointRecord } from './records.js';
import { type DeskParts, unchanged } from './registration.js';

/** Which keys this process has, and what they sealed. @throws {WaymarkError} `invalid` when the file of keys is none by now */
export async function secretsKeys(parts: DeskParts, call: CallOptions): Promise<SecretsKeys> {
  const { engine, sealer } = parts;
  sealer?.refresh();
  const here = sealer?.ids ?? [];
  const sealed = new Map<string, number>(here.map((id) => [id, 0]));
  let clear = 0;
  for await (const { value } of everyEntry(engine, all.endpoints, call)) {
    const id = keyOf(decodeRecord<EndpointRecord>(value).sealed);
    if (id === null) clear += 1;
    else sealed.set(id, (sealed.get(id) ?? 0) + 1);
  }
  const keys = [...sealed].map(([id, endpoints]) => ({ id, endpoints, here: here.includes(id) }));
  return { newest: here[0] ?? null, keys, clear };
}

/**
 * Seals anew what is not under the newest key, one endpoint after the other: what is delivered meanwhile goes on.
 *
 * @returns how many
 * @throws {WaymarkError} `invalid` when a key is missing, naming it; `unavailable` without any
 */
export async function resealAll(parts: DeskParts, call: CallOptions): Promise<number> {
  const { engine, sealer } = parts;
  sealer?.refresh();
  let count = 0;
  for await (const { key } of everyEntry(engine, all.endpoints, call)) {
    const anew = await untilWon(() => resealOne(parts, lastPart(key), call));
    if (anew) count += 1;
  }
  return count;
}

/** Undefined when others changed it meanwhile. */
async function resealOne(
  { engine, sealer }: DeskParts,
  endpoint: string,
  call: CallOptions,
): Promise<boolean | undefined> {
  const key = endpointKey(endpoint);
  const [entry] = (await engine.read({ key }, call)).entries;
  if (entry === undefined) return false;
  const record = decodeRecord<EndpointRecord>(entry.value);
  const sealed = resealed(sealer, record.sealed, endpoint);
  if (sealed === null) return false;
  const value = encodeRecord({ ...record, sealed });
  const apply = [{ type: 'put', key, value }] as const;
  const { succeeded } = await engine.commit({ when: [unchanged(key, entry)], apply }, call);
  return succeeded ? true : undefined;
}
