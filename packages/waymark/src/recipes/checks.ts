import type { LeaseId } from '../core/engine.js';
import { WaymarkError } from '../core/errors.js';
import { validateLeaseId } from '../core/lease-id.js';

/** What recipes check of what comes from outside. @throws {WaymarkError} `invalid`, `too_large` */

const word = /^[\w-]{1,64}$/;
const nameBytesMax = 256;

export function checkWord(what: string, id: string): void {
  if (!word.test(id)) {
    throw new WaymarkError('invalid', `the ${what} is 1 to 64 of A-Z a-z 0-9 _ -`);
  }
}

/** Who does something: shown, and kept beside it. */
export function checkName(what: string, name: string): void {
  if (name.includes('\0')) throw new WaymarkError('invalid', `the ${what} contains no NUL`);
  const actual = Buffer.byteLength(name);
  if (actual <= nameBytesMax) return;
  const facts = { limit: 'nameBytesMax', max: nameBytesMax, actual };
  throw new WaymarkError('too_large', `the ${what} takes at most ${nameBytesMax} bytes`, facts);
}

export function checkWholeFrom(least: number, what: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
  throw new WaymarkError(
    'invalid',
    `${what} is a whole number from ${least}, not ${String(value)}`,
  );
}

/** How long a call may wait; absent: as long as it takes. */
export function checkWaitMs(waitMs: number | undefined): void {
  if (waitMs === undefined || (Number.isFinite(waitMs) && waitMs >= 0)) return;
  throw new WaymarkError('invalid', `waitMs is 0 or more milliseconds, not ${String(waitMs)}`);
}

/** As many as one commit can check one by one. */
const partiesMax = 100;

export function checkParties(parties: number): void {
  if (Number.isInteger(parties) && parties >= 1 && parties <= partiesMax) return;
  throw new WaymarkError('invalid', `parties is 1 to ${partiesMax}, not ${String(parties)}`);
}

/** Who asks for a place. */
export function checkPlace(asked: {
  readonly id: string;
  readonly session: string;
  readonly owner: string;
  readonly lease: LeaseId;
}): void {
  checkWord('id of a party', asked.id);
  checkWord('session of a party', asked.session);
  checkName('owner of a place', asked.owner);
  validateLeaseId(asked.lease);
}
