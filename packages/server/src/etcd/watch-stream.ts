import type {
  MessageInitShape,
  WatchCreateRequest,
  WatchRequest,
  WatchResponseSchema,
} from 'waymark/etcd';
import { type Batch, isWaymarkError, type Revision } from 'waymark/engine';
import type { StreamCall } from '../grpc/call.js';
import { clamped } from './entries.js';
import { etcdError, explain } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';
import { openWatch, type OpenedWatch, type WatchedSince } from './open-watch.js';
import { type AskedWatch, StreamWatch, type WatchTurns } from './stream-watch.js';
import type { WatchBytes } from './watch-bytes.js';
import { askedWatchOf } from './watch-requests.js';
import { watchedRangeOf } from './key-area.js';

type Response = MessageInitShape<typeof WatchResponseSchema>;

/** Of one stream; they end with it. */
const watchesMax = 50_000;
/** Stands for no watch, and for all. */
const noWatch = -1n;

export type WatchCall = StreamCall<WatchRequest, Response>;

/**
 * The watches of one stream. What the engine hands them is told in the next turn of the loop, when the answers of those who wrote have
 * gone out. While the client reads slower than it is told no watch has its turn.
 */
export class WatchStream implements WatchTurns {
  /** Rejects when the stream cannot go on. */
  readonly failure: Promise<never>;
  readonly #ground: Ground;
  readonly #bytes: WatchBytes;
  readonly #call: WatchCall;
  /** By id; null for one that is over but for the client, who has not canceled it. */
  readonly #watches = new Map<bigint, StreamWatch | null>();
  readonly #namespace: string;
  #nextId = 0n;
  #ready: StreamWatch[] = [];
  #scheduled = false;
  #room: Promise<void> | undefined;
  #askedAll = false;
  readonly #askedOne = new Set<StreamWatch>();
  #disarm: (() => void) | undefined;
  #closed = false;
  #fail: (error: unknown) => void = () => {};

  constructor(ground: Ground, bytes: WatchBytes, call: WatchCall) {
    this.#ground = ground;
    this.#bytes = bytes;
    this.#call = call;
    this.#namespace = namespaceOf(ground, call);
    this.failure = new Promise((_, reject) => (this.#fail = reject));
  }

  /** Answers in the order of the requests: the next one is to wait for this. */
  async handle({ requestUnion }: WatchRequest): Promise<void> {
    if (requestUnion.case === 'createRequest') await this.#create(requestUnion.value);
    else if (requestUnion.case === 'cancelRequest') await this.#cancel(requestUnion.value.watchId);
    else if (requestUnion.case === 'progressRequest') this.#askAll();
    await this.#room;
  }

  close(): void {
    this.#closed = true;
    this.#disarm?.();
    for (const watch of this.#watches.values()) watch?.close();
    this.#watches.clear();
  }

  enqueue(watch: StreamWatch): void {
    this.#ready.push(watch);
    this.#schedule();
  }

  tell({ idField, fragment }: AskedWatch, batch: Batch): void {
    for (const message of this.#bytes.responses({ ...batch, watchId: idField, fragment })) {
      this.#sent(this.#call.sendBytes(message));
    }
  }

  over(watch: StreamWatch, error: unknown): void {
    if (this.#closed) return;
    const { id } = watch.asked;
    const compacted = compactedAt(error);
    if (compacted === null) return this.#fail(error ?? etcdError('stopped'));
    this.#watches.set(id, null);
    this.#askedOne.delete(watch);
    const { header } = this.#ground;
    this.#send({ header: header(0), watchId: id, canceled: true, compactRevision: compacted });
  }

  async #create(request: WatchCreateRequest): Promise<void> {
    const range = watchedRangeOf(request.key, request.rangeEnd);
    const refusal = this.#refusal(request, range === null);
    if (refusal !== null || range === null) return this.#refuse(refusal ?? '');
    const from = clamped(request.startRevision);
    const opened = await this.#open({ range, from, previous: request.prevKv });
    if (typeof opened === 'string') return this.#refuse(opened);
    if (this.#closed) return void opened.batches.return?.();
    this.#begin(askedWatchOf(request, this.#idFor(request.watchId)), opened);
  }

  /** @returns why not, for a key that no engine has */
  async #open(since: WatchedSince): Promise<OpenedWatch | string> {
    try {
      return await openWatch(this.#ground.host, this.#namespace, since);
    } catch (error) {
      if (!isWaymarkError(error, 'too_large')) throw error;
      return explain(error).message;
    }
  }

  #begin(asked: AskedWatch, opened: OpenedWatch): void {
    const { header } = this.#ground;
    const watch = new StreamWatch({ ...opened, asked }, this);
    this.#watches.set(asked.id, watch);
    this.#send({ header: header(opened.present), watchId: asked.id, created: true });
    this.enqueue(watch);
    if (asked.progress) this.#disarm ??= this.#tickLater();
  }

  #refusal({ startRevision, watchId }: WatchCreateRequest, empty: boolean): string | null {
    if (startRevision < 0n) return etcdError('compacted').message;
    if (empty) return 'mvcc: watcher range is empty';
    if (watchId !== 0n && this.#watches.has(watchId)) {
      return 'mvcc: duplicate watch ID provided on the WatchStream';
    }
    return this.#watches.size < watchesMax ? null : etcdError('tooManyRequests').message;
  }

  async #refuse(cancelReason: string): Promise<void> {
    const header = await this.#present();
    this.#send({ header, watchId: noWatch, created: true, canceled: true, cancelReason });
  }

  #idFor(asked: bigint): bigint {
    if (asked !== 0n) return asked;
    while (this.#watches.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  /** What is not there is answered with silence, as in etcd. */
  async #cancel(id: bigint): Promise<void> {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.#watches.delete(id);
    if (watch !== null) this.#askedOne.delete(watch);
    watch?.close();
    this.#send({ header: await this.#present(), watchId: id, canceled: true });
  }

  async #present(): Promise<ReturnType<Ground['header']>> {
    const { host, header } = this.#ground;
    return header((await host.status()).revision);
  }

  #send(response: Response): void {
    this.#sent(this.#call.send(response));
  }

  #sent(room: Promise<void> | undefined): void {
    if (room === undefined || this.#room !== undefined) return;
    this.#room = room;
    void room.then(() => {
      this.#room = undefined;
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#room !== undefined || this.#closed) return;
    this.#scheduled = true;
    this.#ground.clock.nextTurn(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (this.#closed) return;
    const ready = this.#ready;
    this.#ready = [];
    let at = 0;
    for (; at < ready.length && this.#room === undefined; at++) ready[at]?.step();
    if (at < ready.length) this.#ready = ready.slice(at).concat(this.#ready);
    if (this.#room === undefined) this.#tellProgress();
    if (this.#ready.length > 0) this.#schedule();
  };

  #askAll(): void {
    this.#askedAll = true;
    for (const watch of this.#watches.values()) watch?.ask();
    this.#schedule();
  }

  readonly #tick = (): void => {
    this.#disarm = this.#tickLater();
    for (const watch of this.#watches.values()) {
      if (watch?.asked.progress !== true) continue;
      if (watch.quiet) {
        this.#askedOne.add(watch);
        watch.ask();
      }
      watch.quiet = true;
    }
    this.#schedule();
  };

  /** With jitter, so that the streams that began together do not stay together. */
  #tickLater(): () => void {
    const { clock, random, progressNotifyMs } = this.#ground;
    return clock.after(progressNotifyMs * (1 + random.next() / 10), this.#tick);
  }

  /** One for all is told once all have come as far as the client knows of any: it may be taken for a place to resume each from. */
  #tellProgress(): void {
    const { header } = this.#ground;
    for (const watch of this.#askedOne) {
      if (!watch.progressed(watch.last)) continue;
      this.#askedOne.delete(watch);
      this.#send({ header: header(watch.told), watchId: watch.asked.id });
    }
    const revision = this.#askedAll ? this.#progress() : null;
    if (revision === null) return;
    this.#askedAll = false;
    this.#send({ header: header(revision), watchId: noWatch });
  }

  /** Null: not every watch has come so far, or there is none. */
  #progress(): Revision | null {
    let [told, last, any] = [Infinity, 0, false];
    for (const watch of this.#watches.values()) {
      if (watch === null) continue;
      any = true;
      told = Math.min(told, watch.told);
      last = Math.max(last, watch.last);
    }
    if (!any || told < last) return null;
    for (const watch of this.#watches.values()) {
      if (watch !== null && !watch.progressed(told)) return null;
    }
    return told;
  }
}

/** Null for what was refused for another reason. */
function compactedAt(error: unknown): bigint | null {
  if (!isWaymarkError(error, 'compacted')) return null;
  return BigInt(error.facts.compacted ?? 0);
}
