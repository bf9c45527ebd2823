import type { ByteString, CallOptions, Check, Operation } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { ConvertRequest, HeldKeys, LockMode } from '../core/host.js';
import type { RequestKeys } from './lock-plan.js';
import { entriesOf } from './lock-queue.js';
import { checkHold } from './lock-request.js';
import { type Claim, turn } from './lock-turn.js';
import { grantOperations, type Leased, type LockGround, put, removal } from './lock-writes.js';
import { waiting } from './waiting.js';
import { asLost, lockWords, lostHold } from './wording.js';

/**
 * Changes the mode of a hold, never letting another in between. It goes by what stands, not by the mode that the holder knows: after an answer that was lost, asking
 * for the mode it had before tells the token that counts, and ends an upgrade that still waits.
 *
 * @returns its token. @throws {WaymarkError} `lost`, `conflict`, `timeout`
 */
export async function convert(
  ground: LockGround,
  hold: HeldKeys,
  to: ConvertRequest,
  options: CallOptions | undefined,
): Promise<number> {
  checkHold(hold);
  options?.signal?.throwIfAborted();
  const { engine, plans } = ground;
  const keysIn = (mode: LockMode): RequestKeys => plans.of({ ...hold, mode }).keysOf(hold.id);
  const keys = { shared: keysIn('shared'), exclusive: keysIn('exclusive') };
  const shared: Check = { key: keys.shared.mark, target: 'version', is: '>', to: 0 };
  const ended: Operation[] =
    to.mode === 'shared' ? [{ type: 'delete', key: keys.exclusive.place }] : [];
  const { succeeded, results } = await engine.commit({
    when: [shared],
    apply: [{ type: 'read', key: keys.shared.mark }, ...ended],
    otherwise: [{ type: 'read', key: keys.exclusive.mark }],
  });
  const [mark] = results.slice(0, 1).flatMap(entriesOf);
  if (mark === undefined) throw lostHold(hold.path, lockWords);
  if (to.mode === (succeeded ? 'shared' : 'exclusive')) return mark.createRevision;
  const party = { value: mark.value, lease: mark.lease };
  const stands: Check = { key: mark.key, target: 'create', is: '=', to: mark.createRevision };
  if (to.mode === 'exclusive') {
    return await upgrade(ground, { hold, keys, stands, party, to, signal: options?.signal });
  }
  const apply = [...removal(keys.exclusive), ...grantOperations(keys.shared, party)];
  const outcome = await engine.commit({ when: [stands], apply });
  if (!outcome.succeeded) throw lostHold(hold.path, lockWords);
  return outcome.revision;
}

interface Upgrade {
  readonly hold: HeldKeys;
  readonly keys: Readonly<Record<LockMode, RequestKeys>>;
  /** The shared mark. */
  readonly stands: Check;
  readonly party: Leased;
  readonly to: ConvertRequest;
  readonly signal: AbortSignal | undefined;
}

/**
 * The upgrade's exclusive place keeps new shared holders out; the shared hold stays until the others are gone. Two upgrades of
 * conflicting holds would wait for each other for ever: the second is refused.
 */
async function upgrade(ground: LockGround, from: Upgrade): Promise<number> {
  const { engine, clock, words } = ground;
  const { hold, keys, to, signal } = from;
  const { place: key } = keys.exclusive;
  let entered: number | 'unknown' | null = null;
  // A later upgrade of the same hold has the same place.
  const giveUp = async (): Promise<boolean> => {
    if (entered === null) return true;
    const own: Check[] =
      entered === 'unknown' ? [] : [{ key, target: 'mod', is: '=', to: entered }];
    await engine.commit({ when: own, apply: [{ type: 'delete', key }] });
    return true;
  };
  try {
    const bounds = { path: hold.path, waitMs: to.waitMs, signal };
    return await waiting(clock, bounds, giveUp, async (ended) => {
      ended?.throwIfAborted();
      entered = 'unknown';
      const at = await enter(ground, from);
      entered = at;
      return await upgradeInTurn(ground, from, at, ended);
    });
  } catch (error) {
    throw asLost(error, words.hold);
  }
}

/** @returns the revision of its place, which is that of nothing else: of two upgrades one is the first */
async function enter(
  { engine }: LockGround,
  { hold, keys, stands, party }: Upgrade,
): Promise<number> {
  const place = { ...put(keys.exclusive.place, party), value: `^${party.value}` };
  const entered = await engine.commit({ when: [stands], apply: [place] }, { alone: true });
  if (!entered.succeeded) throw lostHold(hold.path, lockWords);
  return entered.revision;
}

async function upgradeInTurn(
  ground: LockGround,
  { hold, keys, stands, party }: Upgrade,
  entered: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { engine, plans } = ground;
  const { place, mark } = keys.exclusive;
  await refuseSecondUpgrade(ground, hold, place, entered);
  const claim: Claim = {
    plan: plans.of({ ...hold, mode: 'exclusive' }),
    keys: keys.exclusive,
    hold,
    own: [mark, keys.shared.mark],
    stands: [stands, { key: place, target: 'mod', is: '=', to: entered }],
    clear: null,
    apply: [...removal(keys.shared), ...grantOperations(keys.exclusive, party)],
    created: null,
    refuse: () => undefined,
  };
  return await turn(engine, claim, null, signal);
}

async function refuseSecondUpgrade(
  { engine, plans }: LockGround,
  hold: HeldKeys,
  place: ByteString,
  entered: number,
): Promise<void> {
  const { places } = plans.of({ ...hold, mode: 'shared' });
  const apply = places.map(({ key, end }): Operation => ({ type: 'read', key, end }));
  const { results } = await engine.commit({ apply });
  const older = results
    .flatMap(entriesOf)
    .filter(({ key, modRevision }) => key !== place && modRevision < entered);
  if (!older.some((entry) => entry.value.startsWith('^'))) return;
  throw new WaymarkError('conflict', 'another upgrade waits here already: release, and lock anew');
}
