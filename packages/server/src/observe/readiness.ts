import { WaymarkError } from 'waymark';
import type { Cluster } from 'waymark/cluster';
import type { Clock, Engine, EngineStatus } from 'waymark/engine';
import type { Metrics } from '../metrics.js';
import { readyNode } from '../stash/node-ready.js';
import type { StashNodeService } from '../stash/node-service.js';

/** What is looked at, in the order it is told in. docs/reference/rest.md says what each means. */
export type CheckName = 'serving' | 'engine' | 'writable' | 'cluster' | 'stash' | 'watchers';

export interface ReadyCheck {
  readonly name: CheckName;
  readonly ok: boolean;
  /** Why not. */
  readonly reason?: string;
}

export interface Ready {
  readonly ok: boolean;
  readonly checks: readonly ReadyCheck[];
  /** Null while the engine does not answer. */
  readonly status: EngineStatus | null;
}

export interface ReadinessParts {
  readonly engine: Engine;
  readonly cluster: Cluster | undefined;
  /** Its own node, and why there is none where one should be. */
  readonly stash: { readonly service: StashNodeService | null; readonly trouble: string | null };
  /** Of registered watches; undefined where this server delivers none. */
  readonly watchers: { readonly stalled: boolean } | undefined;
  readonly clock: Clock;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
}

/** How long one look waits for an engine that is elsewhere. */
const lookMsMax = 3_000;

/**
 * Whether this server can be given work whose outcome would be safe: it asks its engine for a commit that writes nothing and fails where a
 * write would, and looks at what else keeps data here.
 */
export class Readiness {
  readonly #parts: ReadinessParts;

  constructor(parts: ReadinessParts) {
    this.#parts = parts;
  }

  /** Never rejects. */
  async look(): Promise<Ready> {
    const { engine, clock, cluster, watchers, stopping } = this.#parts;
    const [status, writable, clustered] = await Promise.all([
      attempt('engine', () => inTime(clock, (signal) => engine.status({ signal }))),
      attempt('writable', () => inTime(clock, (signal) => engine.commit({}, { signal }))),
      cluster === undefined
        ? null
        : attempt('cluster', () => inTime(clock, () => refuseMinority(cluster))),
    ]);
    const checks: ReadyCheck[] = [
      check('serving', stopping.aborted ? 'the server stops' : null),
      status.check,
      writable.check,
      ...(clustered === null ? [] : [clustered.check]),
      check('stash', this.#stash()),
    ];
    if (watchers !== undefined)
      checks.push(
        check('watchers', watchers.stalled ? 'the processor of watchers has no lease' : null),
      );
    return { ok: checks.every(({ ok }) => ok), checks, status: status.value };
  }

  #stash(): string | null {
    const { service, trouble } = this.#parts.stash;
    if (service === null) return trouble;
    // Where its disk is full others take the writes, and it takes them again by itself.
    const { ok, reason } = readyNode(service);
    return ok ? null : `the node of the stash: ${reason}`;
  }
}

/** The same for whoever measures. */
export function describeReadiness(metrics: Metrics, readiness: Readiness): void {
  metrics.gauges(
    'waymark_ready_check',
    'Whether each check of readyz is well: 1 or 0.',
    async () => {
      const { checks } = await readiness.look();
      return checks.map(({ name, ok }) => [{ check: name }, ok ? 1 : 0] as const);
    },
  );
}

function check(name: CheckName, reason: string | null): ReadyCheck {
  return reason === null ? { name, ok: true } : { name, ok: false, reason };
}

async function attempt<T>(
  name: CheckName,
  work: () => Promise<T>,
): Promise<{ readonly check: ReadyCheck; readonly value: T | null }> {
  try {
    return { check: check(name, null), value: await work() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { check: check(name, reason), value: null };
  }
}

/** What does not look at the signal is not waited for either. @throws {WaymarkError} `unavailable` */
export async function inTime<T>(
  clock: Clock,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  let disarm = (): void => {};
  const over = new Promise<never>((_, reject) => {
    const why = new WaymarkError('unavailable', `no answer within ${lookMsMax} ms`);
    const end = (): void => {
      late.abort(why);
      reject(why);
    };
    disarm = clock.after(lookMsMax, end, true);
  });
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    disarm();
  }
}

async function refuseMinority(cluster: Cluster): Promise<void> {
  const { state, why } = await cluster.status();
  if (state !== 'member') throw new Error(why ?? `the member is ${state}`);
}
