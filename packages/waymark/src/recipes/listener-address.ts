import { WaymarkError } from '../core/errors.js';

/**
 * Where a member listens, and the box there in which its messages wait. The box has a random name, made anew for every stay: it is told to
 * those who may read the space, and who does not know it brings nothing. A port that another process has by now has no such box.
 */
export interface ListenerAddress {
  /** `member://host:port`, an address as `Peers` takes it. */
  readonly at: string;
  readonly box: string;
}

const scheme = 'member://';

/** As it is noted beside the member: `member://host:port/box`. */
export function formatListener({ at, box }: ListenerAddress): string {
  return `${at}/${box}`;
}

/** @returns null for the address of a host that is no listener */
export function parseListener(value: string): ListenerAddress | null {
  if (!isListener(value)) return null;
  const slash = value.lastIndexOf('/');
  return { at: value.slice(0, slash), box: value.slice(slash + 1) };
}

export function isListener(address: string): boolean {
  return address.startsWith(scheme);
}

/** @param hostPort  as `checkHostPort` takes it */
export function listenerAt(hostPort: string): string {
  return scheme + hostPort;
}

/** `host:port` of what `listenerAt` made. */
export function hostPortOf(at: string): string {
  return at.slice(scheme.length);
}

/** @throws {WaymarkError} `invalid` for what others could not connect to */
export function checkListener({ at, box }: ListenerAddress): void {
  if (!isListener(at)) throw new WaymarkError('invalid', `'${at}' is no address of a listener`);
  checkHostPort(hostPortOf(at));
  if (!/^[\w-]{16,64}$/.test(box)) throw new WaymarkError('invalid', 'a box has 16 to 64 letters');
}

/** @throws {WaymarkError} `invalid` unless it is `host:port` or `[ipv6]:port`, the port from 1 on */
export function checkHostPort(text: string): void {
  const match = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[\w.-]{1,253}):(\d{1,5})$/.exec(text);
  const port = Number(match?.[1]);
  if (port >= 1 && port <= 65_535) return;
  throw new WaymarkError(
    'invalid',
    `'${String(text).slice(0, 64)}' is no host:port that others can use`,
  );
}
