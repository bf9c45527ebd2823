import { textToBytes } from '../core/bytes.js';
import type { Engine, Txn } from '../core/engine.js';
import { isWaymarkError } from '../core/errors.js';
import type { Inboxes, RecipeGround, Stay } from '../core/recipe-call.js';
import { inboxKey, memberKey } from '../space/layout.js';
import { checkCanonical, pathToBytes } from '../space/paths.js';
import { entriesOf } from './lock-queue.js';
import { checkMemberId, lostMembership } from './members.js';

/** Where members take their messages is noted beside them, under their leases. */
export function inboxesOf(ground: RecipeGround): Inboxes {
  if (ground.inboxes !== undefined) return ground.inboxes;
  const { engine, peers } = ground;
  return {
    note: (stay) => noteAddress(engine, stay, peers.address ?? ''),
    forget: (stay) => forgetAddress(engine, stay),
    gone: (stay, signal) => untilGone(engine, stay, signal),
  };
}

/**
 * Once per stay: the same address is not written again. Only who has the member's lease is given its messages.
 *
 * @throws {WaymarkError} `lost` when the member does not stand under this lease, or no more
 */
export async function noteAddress(
  engine: Engine,
  { group, member: name, lease }: Stay,
  value: string,
): Promise<void> {
  const key = inboxOf(group, name);
  const known: Txn = {
    when: [
      { key, target: 'value', is: '=', to: value },
      { key, target: 'lease', is: '=', to: lease },
    ],
    otherwise: [{ type: 'put', key, value, lease }],
  };
  const entry = memberKey(pathToBytes(group), textToBytes(name));
  const { succeeded } = await engine.commit({
    when: [
      { key: entry, target: 'version', is: '>', to: 0 },
      { key: entry, target: 'lease', is: '=', to: lease },
    ],
    apply: [{ type: 'txn', txn: known }],
  });
  if (!succeeded) throw lostMembership(name, group);
}

async function untilGone(
  engine: Engine,
  { group, member: name, lease }: Stay,
  signal: AbortSignal,
): Promise<void> {
  const key = memberKey(pathToBytes(group), textToBytes(name));
  for (;;) {
    const { entries, revision } = await engine.read({ key });
    if (entries[0]?.lease !== lease) return;
    try {
      for await (const { changes } of engine.watch([{ key }], { after: revision, signal })) {
        if (changes.some(({ kind }) => kind !== 'put')) return;
      }
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }
}

/** Whoever has joined under the same id meanwhile keeps its address. @throws {WaymarkError} `lost` when somebody has */
async function forgetAddress(
  engine: Engine,
  { group, member: name, lease }: Stay,
): Promise<boolean> {
  const key = inboxOf(group, name);
  const { succeeded, results } = await engine.commit({
    when: [{ key, target: 'lease', is: '=', to: lease }],
    apply: [{ type: 'delete', key }],
    otherwise: [{ type: 'read', key, keysOnly: true }],
  });
  if (!succeeded && results.flatMap(entriesOf).length > 0) throw lostMembership(name, group);
  return succeeded;
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function inboxOf(group: string, member: string): string {
  checkCanonical(group);
  checkMemberId(member);
  return inboxKey(pathToBytes(group), textToBytes(member));
}
