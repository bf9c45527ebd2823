import { WaymarkError } from '../core/errors.js';
import type { AcquireRequest, HeldKeys } from '../core/host.js';
import { resolvePath } from '../space/paths.js';

const word = /^[\w-]{1,64}$/;

/** @throws {WaymarkError} `invalid`, `too_large` */
export function checkHold({ path, id }: HeldKeys): void {
  resolvePath('/', path);
  if (!word.test(id)) {
    throw new WaymarkError('invalid', 'the id of a lock request is 1 to 64 of A-Z a-z 0-9 _ -');
  }
}

/** What comes from outside is checked again here: this is the trust boundary. */
export function checkRequest(request: AcquireRequest): void {
  checkHold(request);
  if (!word.test(request.session)) {
    throw new WaymarkError(
      'invalid',
      'the session of a lock request is 1 to 64 of A-Z a-z 0-9 _ -',
    );
  }
  if (request.owner.length > 64 && Buffer.byteLength(request.owner) > 256) {
    throw new WaymarkError('too_large', 'the owner of a lock takes at most 256 bytes');
  }
  const { waitMs } = request;
  if (waitMs !== undefined && !(Number.isFinite(waitMs) && waitMs >= 0)) {
    throw new WaymarkError('invalid', `waitMs is 0 or more milliseconds, not ${String(waitMs)}`);
  }
}
