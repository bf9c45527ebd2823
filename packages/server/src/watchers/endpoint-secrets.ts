import { WaymarkError } from 'waymark/engine';
import { shownUri } from '../endpoints/kit/uri.js';
import { sealedBy, type Sealer } from './sealing.js';

/** What of an endpoint may be secret. */
export interface EndpointSecrets {
  readonly uri: string;
  readonly secrets: readonly string[];
}

/** Of what holds no secret, where there is no key. */
const plain = 'plain:';

/** @throws {WaymarkError} `unavailable` when there are secrets and no key */
export function sealSecrets(
  sealer: Sealer | null,
  secrets: EndpointSecrets,
  endpoint: string,
): string {
  const text = JSON.stringify(secrets);
  if (sealer !== null) return sealer.seal(text, endpoint);
  if (secrets.secrets.length === 0 && shownUri(secrets.uri) === secrets.uri) return plain + text;
  throw noKey('this endpoint has secrets, and the server has no key to encrypt them with');
}

/** @throws {WaymarkError} `unavailable` when there is no key */
export function openSecrets(
  sealer: Sealer | null,
  sealed: string,
  endpoint: string,
): EndpointSecrets {
  if (sealed.startsWith(plain)) return JSON.parse(sealed.slice(plain.length)) as EndpointSecrets;
  if (sealer === null)
    throw noKey('what is stored of this endpoint is encrypted, and the server has no key');
  return JSON.parse(sealer.open(sealed, endpoint)) as EndpointSecrets;
}

/** @returns null where it is under the newest key, or is in the clear as it holds no secret. @throws as `openSecrets` */
export function resealed(sealer: Sealer | null, sealed: string, endpoint: string): string | null {
  if (sealed.startsWith(plain)) return null;
  if (sealer === null) throw noKey('what is stored of endpoints is encrypted');
  return sealer.reseal(sealed, endpoint);
}

/** The id of the key that sealed it; null for what is in the clear. */
export function keyOf(sealed: string): string | null {
  return sealed.startsWith(plain) ? null : sealedBy(sealed);
}

function noKey(what: string): WaymarkError {
  return new WaymarkError('unavailable', `${what}: start all servers with --secrets-key-file`);
}
