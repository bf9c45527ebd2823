import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import {
  type MessageInitShape,
  type MessageShape,
  Watch,
  type WatchCreateRequestSchema,
  type WatchRequestSchema,
  type WatchResponseSchema,
} from 'waymark/etcd';
import type { EtcdApi } from './client.js';

export type WatchResponse = MessageShape<typeof WatchResponseSchema>;
export type CreateRequest = MessageInitShape<typeof WatchCreateRequestSchema>;

/** A response without what is empty, in plain values: byte strings and numbers. */
export interface Told {
  readonly id: number;
  readonly revision: number;
  readonly created?: true;
  readonly canceled?: true;
  readonly compacted?: number;
  readonly reason?: string;
  readonly fragment?: true;
  readonly events?: readonly string[];
}

/** One stream of watches, read response by response: what is not asked for stays unread. */
export class WatchClient implements Disposable {
  readonly stream: ClientDuplexStream<
    MessageInitShape<typeof WatchRequestSchema>,
    MessageShape<typeof WatchResponseSchema>
  >;
  readonly #responses: AsyncIterator<WatchResponse>;

  constructor(api: EtcdApi) {
    this.stream = api.stream(Watch.method.watch);
    this.stream.on('error', () => {});
    this.#responses = this.stream[Symbol.asyncIterator]() as AsyncIterator<WatchResponse>;
  }

  create(value: CreateRequest): void {
    this.stream.write({ requestUnion: { case: 'createRequest', value } });
  }

  cancel(id: number | bigint): void {
    const value = { watchId: BigInt(id) };
    this.stream.write({ requestUnion: { case: 'cancelRequest', value } });
  }

  askProgress(): void {
    this.stream.write({ requestUnion: { case: 'progressRequest', value: {} } });
  }

  /** @throws {ServiceError} when the stream has ended */
  async response(): Promise<WatchResponse> {
    const { value, done } = await this.#responses.next();
    if (done === true) throw new Error('the stream of watches has ended');
    return value;
  }

  async next(): Promise<Told> {
    return told(await this.response());
  }

  /** Asks, and returns the next response. */
  async created(value: CreateRequest): Promise<Told> {
    this.create(value);
    return await this.next();
  }

  /** Events as they come, in however many responses: `count` of them. */
  async events(count: number): Promise<readonly string[]> {
    const events: string[] = [];
    while (events.length < count) events.push(...((await this.next()).events ?? []));
    return events;
  }

  /** The code the stream ends with. */
  ended(): Promise<number> {
    return new Promise((resolve) => {
      this.stream.once('error', ({ code }: ServiceError) => resolve(code));
    });
  }

  [Symbol.dispose](): void {
    this.stream.cancel();
  }
}

export function told(response: WatchResponse): Told {
  const { watchId, header, events } = response;
  return {
    id: Number(watchId),
    revision: Number(header?.revision),
    ...(response.created && { created: true }),
    ...(response.canceled && { canceled: true }),
    ...(response.compactRevision !== 0n && { compacted: Number(response.compactRevision) }),
    ...(response.cancelReason !== '' && { reason: response.cancelReason }),
    ...(response.fragment && { fragment: true }),
    ...(events.length > 0 && { events: events.map(line) }),
  };
}

type Event = WatchResponse['events'][number];

/** `PUT a=1 c2 m3 v2 was 0`: kind, key, value, revisions and version, lease, and what was there before. */
function line({ type, kv, prevKv }: Event): string {
  const words = [type === 0 ? 'PUT' : 'DELETE'];
  if (kv !== undefined) words.push(entry(kv));
  if (prevKv !== undefined) words.push('was', entry(prevKv));
  return words.join(' ');
}

function entry(kv: NonNullable<Event['kv']>): string {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
  const lease = kv.lease === 0n ? '' : ` lease ${kv.lease}`;
  const value = kv.value.length > 40 ? `${kv.value.length} bytes` : text(kv.value);
  return `${text(kv.key)}=${value} c${kv.createRevision} m${kv.modRevision} v${kv.version}${lease}`;
}
