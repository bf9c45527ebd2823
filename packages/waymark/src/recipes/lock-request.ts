import { WaymarkError } from '../core/errors.js';
import type { Entry } from '../core/engine.js';
import type { AcquireRequest, HeldKeys } from '../core/host.js';

const wordMax = 64;
const isWordChar = Uint8Array.from({ length: 128 }, (_, code) =>
  Number(/[\w-]/.test(String.fromCharCode(code))),
);

/** Its path is checked where its plan is made. @throws {WaymarkError} `invalid` */
export function checkHold({ id }: HeldKeys): void {
  if (!isWord(id)) {
    throw new WaymarkError('invalid', 'the id of a request is 1 to 64 of A-Z a-z 0-9 _ -');
  }
}

/** What comes from outside is checked again here: this is the trust boundary. */
export function checkRequest(
  request: Omit<AcquireRequest, 'path' | 'tree' | 'mode'> & HeldKeys,
): void {
  checkHold(request);
  if (!isWord(request.session)) {
    throw new WaymarkError('invalid', 'the session of a request is 1 to 64 of A-Z a-z 0-9 _ -');
  }
  if (request.owner.length > 64 && Buffer.byteLength(request.owner) > 256) {
    throw new WaymarkError('too_large', 'the owner of a hold takes at most 256 bytes');
  }
  if (request.owner.includes('\0')) {
    throw new WaymarkError('invalid', 'the owner of a hold contains no NUL');
  }
  const { waitMs } = request;
  if (waitMs !== undefined && !(Number.isFinite(waitMs) && waitMs >= 0)) {
    throw new WaymarkError('invalid', `waitMs is 0 or more milliseconds, not ${String(waitMs)}`);
  }
}

/**
 * What a request finds under its id is of an earlier try of its own, or of somebody who took the same id: whose lease it stands under tells.
 * @throws {WaymarkError} `conflict`
 */
export function ownOf(
  found: Entry | null | undefined,
  { id, path, lease }: Pick<AcquireRequest, 'id' | 'path' | 'lease'>,
): Entry | null {
  if (found === undefined || found === null) return null;
  if (found.lease === lease) return found;
  const why = `${id} is the id of a request for ${path} under another lease`;
  throw new WaymarkError('conflict', `${why}: take another id, or repeat under that lease`, {
    path,
  });
}

/** By hand: three short texts are looked at for each lock, and a regular expression costs several times as much. */
function isWord(text: string): boolean {
  const { length } = text;
  if (length === 0 || length > wordMax) return false;
  for (let at = 0; at < length; at++) if (isWordChar[text.charCodeAt(at)] !== 1) return false;
  return true;
}
