import type { Space } from 'waymark';
import {
  type Clock,
  type Engine,
  pause,
  type Random,
  type Tracing,
  type WatcherDesk,
  WaymarkError,
} from 'waymark/engine';
import type { Endpoint, EndpointKind } from '../endpoints/endpoint.js';
import { knownKinds } from '../endpoints/kinds.js';
import type { Dialer } from '../endpoints/kit/dialer.js';
import { SharedConnections } from '../endpoints/kit/shared-connections.js';
import { createDesk } from './desk.js';
import { openSecrets } from './endpoint-secrets.js';
import { all } from './keys.js';
import { Processor } from './processor.js';
import type { EndpointView } from './registry.js';
import type { Sealer } from './sealing.js';
import type { SenderParts } from './sender.js';
import type { Tenure } from './tenure.js';
import { Turns } from './turns.js';

export interface WatcherServiceParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  /** Who to show as processor. */
  readonly owner: string;
  readonly kinds: readonly EndpointKind[];
  readonly dialer: Dialer;
  /** Null where there is no key: then nothing secret is taken. */
  readonly sealer: Sealer | null;
  /** How long a processor that is silent keeps what it holds; 1 000 to 60 000, default 5 000. */
  readonly ttlMs?: number | undefined;
  readonly checkpointMs?: number | undefined;
  readonly lagMs?: number | undefined;
  /** How long history is held back for endpoints that fail or are behind. Default 4 hours. */
  readonly heldMs?: number | undefined;
  readonly failed: (what: string, error: unknown) => void;
}

/** What `start` needs, once there is a space over the desk. */
export interface WatcherServiceStart {
  readonly space: Space;
  readonly tried?: SenderParts['tried'] | undefined;
  readonly tracing?: Tracing | null | undefined;
}

const ttlMsDefault = 5_000;
const ttlMsMin = 1_000;
const ttlMsMax = 60_000;
const checkpointMsDefault = 10_000;
const againMs = 1_000;
/** Deliveries under way at once, and those to endpoints that fail. */
const turns = { good: 1_024, failing: 128 };

/**
 * Registered watches in this process: the registry's calls, and a processor that delivers. The processor begins when anything is registered, so who registers nothing has no lease,
 * no watch and no write of it.
 */
export class WatcherService implements AsyncDisposable {
  readonly desk: WatcherDesk;
  readonly #parts: WatcherServiceParts;
  readonly #connections = new SharedConnections();
  readonly #closing = new AbortController();
  #begun: Promise<void> | null = null;
  #processor: Processor | null = null;
  /** Whether it is known that nothing was registered. */
  #looked = false;

  /** @throws {WaymarkError} `invalid` for a TTL beyond its bounds */
  constructor(parts: WatcherServiceParts) {
    checkTtl(parts.ttlMs);
    this.#parts = parts;
    this.desk = createDesk({ ...parts, kinds: knownKinds(parts.kinds) });
  }

  /** Delivers from now on. */
  start(parts: WatcherServiceStart): void {
    this.#begun ??= this.#begin(parts);
  }

  /** Null while nothing is registered, and between leases. */
  get tenure(): Tenure | null {
    return this.#processor?.tenure ?? null;
  }

  /** Something is registered, and this process can deliver none of it: its processor has no lease. */
  get stalled(): boolean {
    return this.#processor !== null && this.#processor.tenure === null;
  }

  /** History after this revision is still to be told; null where nothing is registered, and all until that is known. */
  get needed(): number | null {
    return this.#processor?.needed ?? (this.#looked ? null : 0);
  }

  /** Deliveries under way may end, within 5 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#begun;
    await this.#processor?.close();
  }

  async #begin(parts: WatcherServiceStart): Promise<void> {
    const { clock, failed } = this.#parts;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#registered(signal);
        this.#processor = this.#process(parts);
        return;
      } catch (error) {
        if (signal.aborted) return;
        failed('waiting for a registered watch', error);
        await pause(clock, againMs, signal).catch(() => undefined);
      }
    }
  }

  /** Until there is an endpoint. */
  async #registered(signal: AbortSignal): Promise<void> {
    const { engine } = this.#parts;
    const { count, revision } = await engine.read(
      { ...all.endpoints, countOnly: true },
      { signal },
    );
    if (count > 0) return;
    this.#looked = true;
    for await (const { changes } of engine.watch([all.endpoints], { after: revision, signal })) {
      if (changes.length > 0) return;
    }
    signal.throwIfAborted();
  }

  #process({ space, tracing = null, tried = () => undefined }: WatcherServiceStart): Processor {
    const { ttlMs = ttlMsDefault, checkpointMs = checkpointMsDefault } = this.#parts;
    return Processor.start({
      ...this.#parts,
      space,
      tried,
      tracing,
      ttlMs,
      checkpointMs,
      turns: new Turns(turns),
      open: (endpoint) => this.#open(endpoint),
    });
  }

  #open({ id, record }: EndpointView): Endpoint {
    const { kinds, sealer, dialer, clock } = this.#parts;
    const kind = kinds.find(({ name }) => name === record.kind);
    if (kind === undefined) {
      throw new WaymarkError(
        'unavailable',
        `this process delivers to no endpoint of ${record.kind}`,
      );
    }
    const { uri, secrets } = openSecrets(sealer, record.sealed, id);
    const { format, timeoutMs } = record;
    const settings = { format, timeoutMs, secrets };
    const tools = { dialer, connections: this.#connections, wallNow: () => clock.wallNow() };
    return kind.open(kind.parse(uri, settings), settings, tools);
  }
}

function checkTtl(asked: number | undefined): void {
  if (asked === undefined) return;
  if (Number.isInteger(asked) && asked >= ttlMsMin && asked <= ttlMsMax) return;
  const text = `the TTL of watchers is ${ttlMsMin} to ${ttlMsMax} ms, not ${asked}`;
  throw new WaymarkError('invalid', text);
}
