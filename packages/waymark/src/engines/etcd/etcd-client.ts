import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type * as GrpcTypes from '@grpc/grpc-js';
import type { Clock, Random } from '../../core/clock.js';
import { WaymarkError } from '../../core/errors.js';
import { pause } from '../../core/pause.js';
import { Auth, KV, Maintenance, StatusRequestSchema } from './gen/etcd_pb.js';
import { type CallKind, isStaleToken, toWaymarkError } from './etcd-errors.js';
import type { EtcdTarget } from './etcd-url.js';
import { encode, type Exchange, exchangeOf, type Method, pathOf } from './exchange.js';
import type { Grpc } from './grpc.js';
import { Member } from './member.js';
import { type Health, Members } from './members.js';
import { unary, type Waits } from './unary.js';

export interface EtcdCall {
  readonly kind: CallKind;
  readonly signal?: AbortSignal | undefined;
  /** Default: the target's. */
  readonly timeoutMs?: number | undefined;
}

interface Attempt extends EtcdCall {
  /** By the clock. */
  readonly deadline: number;
  /** 0 for the first. */
  readonly attempt: number;
}

export type EtcdStream<I extends DescMessage, O extends DescMessage> = GrpcTypes.ClientDuplexStream<
  MessageShape<I>,
  MessageShape<O>
>;

export interface OpenedStream<I extends DescMessage, O extends DescMessage> {
  readonly stream: EtcdStream<I, O>;
  /** A read, of the member that the stream is to. */
  ask<A extends DescMessage, B extends DescMessage>(
    method: Method<A, B>,
    request: MessageInitShape<A>,
  ): Promise<MessageShape<B>>;
  /** Tells what it ended with: the member is passed over for a while. */
  failed(error?: unknown): void;
}

/** A member silent for so long is passed over where there are others, and asked whether it is there. */
const patienceMs = 1_000;
const lookMs = 1_000;
const backoffMs = [0, 20, 50, 100, 200, 400] as const;
/**
 * etcd's members, one of which is spoken to until it fails. Calls that were certainly not done, and reads, go on to the next member
 * until their deadline, from one that is silent as well; a write that may have been applied is never repeated.
 */
export class EtcdClient {
  readonly #grpc: Grpc;
  readonly #target: EtcdTarget;
  readonly #clock: Clock;
  readonly #members: Members<Member>;
  #token: Promise<string> | null = null;

  constructor(grpc: Grpc, target: EtcdTarget, options: { clock: Clock; random: Random }) {
    this.#grpc = grpc;
    this.#target = target;
    const { clock, random } = options;
    this.#clock = clock;
    const { endpoints, tls } = target;
    this.#members = new Members(endpoints, {
      clock,
      random,
      connect: (address) => new Member(address, { grpc, tls, clock }),
      look: (member) => this.#look(member),
    });
  }

  /**
   * @throws {WaymarkError} `unavailable`, `uncertain` for a write that may have been applied, or why etcd refused. An abort rejects
   *   with the signal's reason, but for a write on its way: `uncertain`
   */
  async call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    call: EtcdCall,
  ): Promise<MessageShape<O>> {
    const message = create(method.input, request);
    return await this.#call(exchangeOf(method, message), call);
  }

  /** A transaction that is written and read elsewhere. @param busy  many such are sent */
  async txn(message: Buffer, { busy, ...call }: EtcdCall & { busy: boolean }): Promise<Buffer> {
    const path = pathOf(KV.method.txn);
    const quick = { message, busy };
    return await this.#call({ path, encode: () => message, decode: asItIs, quick }, call);
  }

  async #call<O>(exchange: Exchange<O>, call: EtcdCall): Promise<O> {
    call.signal?.throwIfAborted();
    const deadline = this.#clock.now() + (call.timeoutMs ?? this.#target.timeoutMs);
    for (let attempt = 0; ; attempt++) {
      const endpoint = this.#members.pick();
      try {
        return await this.#attempt(endpoint, exchange, { ...call, deadline, attempt });
      } catch (error) {
        const failure = toWaymarkError(error, call.kind);
        const stale = isStaleToken(error);
        if (call.signal?.aborted === true) {
          throw failure.code === 'uncertain' ? failure : call.signal.reason;
        }
        if (stale) this.#token = null;
        else if (failure.code === 'unavailable' || failure.code === 'uncertain')
          this.#members.failed(endpoint);
        const again = failure.code === 'unavailable' || stale;
        const waitMs = this.#backoff(attempt);
        if (!again || this.#members.isClosed || this.#clock.now() + waitMs >= deadline)
          throw stale ? forgotten(error) : failure;
        if (waitMs > 0) await pause(this.#clock, waitMs, call.signal, true);
      }
    }
  }

  /** A stream to the member spoken to; it fails when that one has no leader. */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
  ): Promise<OpenedStream<I, O>> {
    if (this.#members.isClosed) throw new WaymarkError('unavailable', 'the engine is closed');
    const endpoint = this.#members.pick();
    const metadata = await this.#metadata(endpoint);
    // A member that was cut off from the others ends the stream instead of keeping it silent.
    metadata.set('hasleader', 'true');
    const stream = endpoint.client.makeBidiStreamRequest<MessageShape<I>, MessageShape<O>>(
      pathOf(method),
      (message) => encode(method.input, message),
      (bytes) => fromBinary(method.output, bytes),
      metadata,
    );
    const ask: OpenedStream<I, O>['ask'] = (of, request) => {
      const exchange = exchangeOf(of, create(of.input, request));
      return this.#unary(endpoint, exchange, metadata, { withinMs: this.#target.timeoutMs });
    };
    const failed = (error?: unknown): void => {
      if (isStaleToken(error)) this.#token = null;
      else this.#members.failed(endpoint);
    };
    return { stream, ask, failed };
  }

  /** The members changed: from now on these are spoken to, the first of them first. */
  setEndpoints(addresses: readonly string[]): void {
    this.#members.set(addresses);
  }

  close(): void {
    this.#members.close();
  }

  async #attempt<O>(
    endpoint: Member,
    exchange: Exchange<O>,
    { kind, signal, deadline, attempt }: Attempt,
  ): Promise<O> {
    const metadata = await this.#metadata(endpoint);
    const withinMs = deadline - this.#clock.now();
    if (this.#members.count === 1)
      return await this.#unary(endpoint, exchange, metadata, { withinMs, signal });
    const patience = Math.min(withinMs / 2, patienceMs * 2 ** attempt);
    // A read has time for another member, should this one be silent.
    if (kind === 'read')
      return await this.#unary(endpoint, exchange, metadata, { withinMs: patience, signal });
    const silence = { afterMs: patience, isWell: () => this.#members.silent(endpoint) };
    return await this.#unary(endpoint, exchange, metadata, { withinMs, signal, silence });
  }

  #unary<O>(
    endpoint: Member,
    exchange: Exchange<O>,
    metadata: GrpcTypes.Metadata,
    waits: Waits,
  ): Promise<O> {
    return unary(endpoint, { exchange, metadata, ...waits, clock: this.#clock });
  }

  /** Asked once at a time. */
  #look(member: Member): Promise<Health> {
    const exchange = exchangeOf(Maintenance.method.status, create(StatusRequestSchema, {}));
    // Logging in at one that is away would keep all others waiting.
    const metadata = this.#token === null ? new this.#grpc.Metadata() : this.#metadata(member);
    member.look ??= Promise.resolve(metadata)
      .then((known) => this.#unary(member, exchange, known, { withinMs: lookMs }))
      .then(
        ({ leader }): Health => (leader === 0n ? 'leaderless' : 'well'),
        // Who may not ask was answered all the same.
        (error: unknown) =>
          toWaymarkError(error, 'read').code === 'unavailable' ? 'away' : 'well',
      )
      .finally(() => (member.look = null));
    return member.look;
  }

  async #metadata(endpoint: Member): Promise<GrpcTypes.Metadata> {
    const metadata = new this.#grpc.Metadata();
    if (this.#target.user !== undefined) metadata.set('token', await this.#login(endpoint));
    return metadata;
  }

  #login(endpoint: Member): Promise<string> {
    if (this.#token !== null) return this.#token;
    const { user = '', password = '', timeoutMs } = this.#target;
    const request = create(Auth.method.authenticate.input, { name: user, password });
    const none = new this.#grpc.Metadata();
    const exchange = exchangeOf(Auth.method.authenticate, request);
    const token = this.#unary(endpoint, exchange, none, { withinMs: timeoutMs / 2 }).then(
      (answer) => answer.token,
      (error: unknown) => {
        if (this.#token === token) this.#token = null;
        throw toWaymarkError(error, 'read');
      },
    );
    this.#token = token;
    return token;
  }

  #backoff(attempt: number): number {
    const round = Math.floor((attempt + 1) / this.#members.count);
    return backoffMs[Math.min(round, backoffMs.length - 1)] as number;
  }
}

/** Nobody refused the password: there was no time left to show it again. */
function forgotten(error: unknown): WaymarkError {
  return new WaymarkError('unavailable', 'etcd has forgotten the login: try again', {}, error);
}

function asItIs(bytes: Buffer): Buffer {
  return bytes;
}
