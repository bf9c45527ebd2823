import type { CallOptions, Check, Operation } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import type { ConvertRequest, HeldKeys } from '../core/host.js';
import type { RequestKeys } from './lock-plan.js';
import { entriesOf } from './lock-queue.js';
import { checkHold } from './lock-request.js';
import { type Claim, turn } from './lock-turn.js';
import {
  giveUp,
  grantOperations,
  type Leased,
  type LockGround,
  release,
  removal,
} from './lock-writes.js';
import { waiting } from './waiting.js';
import { asLost, lockWords, lostHold } from './wording.js';

/** Changes the mode of a hold, never letting another in between. @returns its token. @throws {WaymarkError} `lost`, `conflict`, `timeout` */
export async function convert(
  ground: LockGround,
  hold: HeldKeys,
  to: ConvertRequest,
  options: CallOptions | undefined,
): Promise<number> {
  const { engine, plans } = ground;
  checkHold(hold);
  options?.signal?.throwIfAborted();
  const keys = plans.of(hold).keysOf(hold.id);
  const mark = (await engine.read({ key: keys.mark })).entries[0];
  if (mark === undefined) throw lostHold(hold.path, lockWords);
  if (to.mode === hold.mode) return mark.createRevision;
  const party = { value: mark.value, lease: mark.lease };
  const stands: Check = { key: mark.key, target: 'create', is: '=', to: mark.createRevision };
  const next: HeldKeys = { ...hold, mode: to.mode };
  if (to.mode === 'exclusive') {
    return await upgrade(ground, { hold, next, keys, stands, party, to, signal: options?.signal });
  }
  const put = grantOperations(plans.of(next).keysOf(next.id), party);
  const outcome = await engine.commit({ when: [stands], apply: [...removal(keys), ...put] });
  if (!outcome.succeeded) throw lostHold(hold.path, lockWords);
  return outcome.revision;
}

interface Upgrade {
  readonly hold: HeldKeys;
  readonly next: HeldKeys;
  readonly keys: RequestKeys;
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
  const { engine, plans } = ground;
  const { hold, next, stands, party } = from;
  const plan = plans.of(next);
  const keys = plan.keysOf(next.id);
  const put: Operation = {
    type: 'put',
    key: keys.place,
    value: `^${party.value}`,
    lease: party.lease,
  };
  const entered = await engine.commit({ when: [stands], apply: [put] });
  if (!entered.succeeded) throw lostHold(hold.path, lockWords);
  await refuseSecondUpgrade(ground, next, entered.revision);
  const claim: Claim = {
    plan,
    keys,
    hold: next,
    own: [keys.mark, from.keys.mark],
    stands: [stands],
    clear: null,
    apply: [...removal(from.keys), ...grantOperations(keys, party)],
    created: null,
    refuse: () => undefined,
  };
  const bounds = { path: hold.path, waitMs: from.to.waitMs, signal: from.signal };
  try {
    return await waiting(ground.clock, bounds, giveUp(ground, next), (signal) =>
      turn(engine, claim, null, signal),
    );
  } catch (error) {
    throw asLost(error, ground.words.hold);
  }
}

async function refuseSecondUpgrade(
  ground: LockGround,
  next: HeldKeys,
  entered: number,
): Promise<void> {
  const { places } = ground.plans.of({ ...next, mode: 'shared' });
  const apply = places.map(({ key, end }): Operation => ({ type: 'read', key, end }));
  const { results } = await ground.engine.commit({ apply });
  const older = results.flatMap(entriesOf).filter((entry) => entry.createRevision < entered);
  if (!older.some((entry) => entry.value.startsWith('^'))) return;
  await release(ground, next);
  throw new WaymarkError('conflict', 'another upgrade waits here already: release, and lock anew');
}
