import type { ByteString, Engine, Entry, Revision, Txn } from '../core/engine.js';

/**
 * A request that is repeated finds the place that it put before, and may have been waited for over another server, which has not noticed
 * yet that its client is gone. The place is written anew then: only the wait that asked last takes it away.
 */

/** @returns the revision in which the place was asked for; null: it is not as it was found */
export async function askAgain(engine: Engine, place: Entry): Promise<Revision | null> {
  const { key, value, modRevision } = place;
  const { succeeded, revision } = await engine.commit({
    when: [{ key, target: 'mod', is: '=', to: modRevision }],
    apply: [{ type: 'put', key, value, keepLease: true }],
  });
  return succeeded ? revision : null;
}

/** Takes a place away, unless it was asked for again, or granted in place, since `asked`. */
export function unlessAskedAgain(key: ByteString, asked: Revision): Txn {
  return {
    when: [{ key, target: 'mod', is: '=', to: asked }],
    apply: [{ type: 'delete', key }],
  };
}
