import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type DeliveredEvent,
  type Delivery,
  DeliveryFailure,
  type Endpoint,
  type EndpointKind,
  type EndpointSettings,
  type Target,
} from '../../endpoints/endpoint.js';
import type { SharedConnections } from '../../endpoints/kit/shared-connections.js';
import type { Received } from '../received.js';

/** A place at a real server that a driver delivers to. */
export interface EndpointUnderTest extends AsyncDisposable {
  readonly uri: string;
  /** What of the URI or the settings no output may show: its password and the like. */
  readonly secrets?: readonly string[] | undefined;
  /** Another place at the same server and account, whose endpoint uses the same connection. */
  readonly sibling?: string | undefined;
  /** All that came so far, in order of arrival; repeats as often as they came. */
  received(): Promise<readonly Received[]>;
  /** Breaks the connections, and every new one until `mend`. */
  interrupt(): Promise<void>;
  /** Lets nothing through and closes nothing until `mend`. */
  hold(): Promise<void>;
  mend(): Promise<void>;
}

/** What one case runs on. */
export interface CaseGround {
  readonly kind: EndpointKind;
  readonly place: EndpointUnderTest;
  readonly target: Target;
  readonly settings: EndpointSettings;
  readonly connections: SharedConnections;
  readonly patienceMs: number;
  open(target?: Target): Endpoint;
}

/** A case as data. It fails by rejecting. */
export interface EndpointCase {
  readonly name: string;
  run(ground: CaseGround): Promise<void>;
}

export function casesOf(
  cases: Readonly<Record<string, (ground: CaseGround) => Promise<void>>>,
): EndpointCase[] {
  return Object.entries(cases).map(([name, run]) => ({ name, run }));
}

/** As the processor writes them: fixed width, sorting as numbers do. */
export function sequenceAt(place: number): string {
  const digits = (n: number, width: number): string => String(n).padStart(width, '0');
  return place === 0 ? '' : `${digits(0, 16)}-${digits(place, 16)}-${digits(0, 13)}`;
}

/** The `place`th event of a stream, from 1: a put of JSON unless told otherwise. */
export function eventAt(place: number, more: Partial<DeliveredEvent> = {}): DeliveredEvent {
  return {
    id: `${place}.0`,
    kind: 'put',
    namespace: 'default',
    path: `/suite/${place}`,
    revision: place,
    sequence: sequenceAt(place),
    previous: sequenceAt(place - 1),
    watchers: ['0123456789abcdef'.repeat(4)],
    value: Buffer.from(`{"place":${place}}`),
    ...more,
  };
}

let streams = 0;

/** Names a stream that no other case has. */
export function newStream(): string {
  streams += 1;
  return `suite${process.pid}x${streams}.${Date.now().toString(36)}`;
}

/** @param more.stream  give one where several deliveries are of one stream */
export function deliveryOf(
  events: readonly DeliveredEvent[],
  more: Partial<Delivery> = {},
): Delivery {
  const id = `suite.${events[0]?.sequence ?? ''}.${events.length}`;
  const common = { id, stream: newStream(), fence: 7, attempt: 1, sentAt: Date.now() };
  return { ...common, ...more, events };
}

/** Waits until so many events came. @returns all that came */
export async function arrived(
  { place, patienceMs }: CaseGround,
  count: number,
  wanted: (one: Received) => boolean = () => true,
): Promise<readonly Received[]> {
  const until = Date.now() + patienceMs;
  const missing = (): number => count - came.filter(wanted).length;
  let came = await place.received();
  while (missing() > 0 && Date.now() < until) {
    await delay(10);
    came = await place.received();
  }
  const told = came.map(({ id, kind }) => `${kind} ${id}`).join(', ');
  assert.ok(missing() <= 0, `${missing()} of ${count} events did not come: ${told}`);
  return came;
}

export function deliver(ground: CaseGround, endpoint: Endpoint, delivery: Delivery): Promise<void> {
  return endpoint.deliver(delivery, AbortSignal.timeout(ground.patienceMs));
}

/** @returns how it failed. @throws when it did not, or by anything but a DeliveryFailure */
export async function failureOf(delivered: Promise<void>): Promise<DeliveryFailure> {
  const error = await delivered.then(
    () => assert.fail('the delivery was accepted'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof DeliveryFailure)) throw error;
  return error;
}

/** As it was told, but for what a sink has no place for. */
export function sameEvent(came: Received | undefined, delivery: Delivery, at = 0): void {
  const event = delivery.events[at] as DeliveredEvent;
  const { id, kind, path, sequence, previous, watchers } = event;
  const told = { id, kind, path, sequence, previous, watchers, fence: delivery.fence };
  const shown = came && {
    id: came.id,
    kind: came.kind,
    path: came.path,
    sequence: came.sequence,
    previous: came.previous,
    watchers: came.watchers,
    fence: came.fence,
  };
  assert.deepEqual(shown, told);
  sameValue(came?.value, event.value);
}

export function sameValue(came: Uint8Array | undefined, told: Uint8Array | undefined): void {
  const bytes = (value: Uint8Array | undefined): Buffer | undefined =>
    value && Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const [one, other] = [bytes(came), bytes(told)];
  if (one !== undefined && other !== undefined && one.equals(other)) return;
  const start = (value: Buffer | undefined): string =>
    value === undefined
      ? 'no value'
      : `${value.length} bytes: ${JSON.stringify(value.toString('latin1', 0, 60))}`;
  assert.equal(start(one), start(other));
  assert.equal(one, other, 'the values differ');
}
