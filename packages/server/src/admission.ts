import type { Duplex } from 'node:stream';
import { type Clock, validateWholeNumber, type WaymarkError } from 'waymark/engine';
import type { Access } from './access/access.js';
import { certificateNames } from './access/certificate.js';
import { Admission } from 'waymark/wire';
import type { Metrics } from './metrics.js';
import { defaultRate, Rates } from './rates.js';
import type { ServerOptions } from './server-options.js';
import { addressOf } from './who.js';

/** What all faces ask before they begin a call. */
export interface WorkLimits {
  readonly admission: Admission;
  /** Counts a call of the client behind a connection; absent: clients may call as often as they like. @returns why it may not */
  readonly spend: ((socket: Duplex, token?: string) => WaymarkError | null) | undefined;
}

/** @throws {WaymarkError} `invalid` */
export function workLimits(
  options: ServerOptions,
  {
    metrics,
    clock,
    access,
  }: { readonly metrics: Metrics; readonly clock: Clock; readonly access: Access },
): WorkLimits {
  const { inFlightMax, inFlightBytesMax, inFlightWaitMs, rate } = options;
  const given = Object.entries({ inFlightMax, inFlightBytesMax, inFlightWaitMs });
  for (const [name, value] of given) validateWholeNumber(name, value);
  const asked = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  const admission = new Admission(clock, asked);
  const rates = rate === false ? null : new Rates(clock, rate ?? defaultRate);
  const shed = (): number => admission.refused;
  const limited = (): number => rates?.refused ?? 0;
  metrics.gauge('waymark_calls_in_flight', 'Calls under way.', () => admission.calls);
  metrics.gauge('waymark_calls_waiting', 'Calls waiting for their turn.', () => admission.waiting);
  metrics.total('waymark_calls_shed_total', 'Calls refused: the server had too much to do.', shed);
  metrics.total(
    'waymark_calls_limited_total',
    'Calls refused: their client has its rate.',
    limited,
  );
  if (rates === null) return { admission, spend: undefined };
  const clientOf = clients(access);
  const spend = (socket: Duplex, token?: string): WaymarkError | null => {
    if (rate === undefined && !access.on) return null;
    const { name, trusted } = clientOf(socket, token);
    return rate === undefined && trusted ? null : rates.spend(name);
  };
  return { admission, spend };
}

interface Client {
  readonly name: string;
  /** Root, who restores and moves all there is, and other servers, that pass on what their clients ask. */
  readonly trusted: boolean;
}

/** Tokens whose users are remembered: to look one up is to hash it. */
const knownMax = 10_000;

/** Where access is on, whose token or certificate it is; else an address, and who has none is on this machine. */
function clients(access: Access): (socket: Duplex, token: string | undefined) => Client {
  const known = new Map<string, Client>();
  let generation = -1;
  return (socket, token) => {
    if (!access.on) return from(socket);
    if (generation !== access.state.generation || known.size > knownMax) {
      ({ generation } = access.state);
      known.clear();
    }
    const before = token === undefined ? undefined : known.get(token);
    if (before !== undefined) return before;
    const bearer = token === undefined ? null : access.bearer(token);
    if (bearer !== null) {
      const client = { name: `user ${bearer.name}`, trusted: bearer.root || bearer.peer };
      known.set(token as string, client);
      return client;
    }
    const [name] = token === undefined ? (certificateNames(socket) ?? []) : [];
    return name === undefined ? from(socket) : { name: `user ${name}`, trusted: false };
  };
}

function from(socket: Duplex): Client {
  return { name: addressOf(socket) ?? 'local', trusted: false };
}
