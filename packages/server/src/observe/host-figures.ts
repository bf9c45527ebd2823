import type { RecipeCall } from 'waymark/engine';
import type { CountedSeries, Counter, Histogram, Metrics, ObservedSeries } from '../metrics.js';
import { codeOf } from './engine-figures.js';

/** What was asked of one namespace since the server began. */
export interface NamespaceActivity {
  reads: number;
  writes: number;
  /** Of recipes, locks among them. */
  calls: number;
}

/** So many namespaces are told apart; what is asked of others is counted together, under the empty name. */
const namespacesMax = 1_000;

/** What is counted of a host's calls: those of all its clients, whatever they speak. */
export class HostFigures {
  readonly activity = new Map<string, NamespaceActivity>();
  readonly lockWaits: ObservedSeries;
  readonly #granted: CountedSeries;
  readonly #released: CountedSeries;
  readonly #locks: Counter;
  readonly #calls: Counter;
  readonly #callSeconds: Histogram;
  readonly #messages: Counter;
  readonly #known = new Map<string, CallFigures>();
  readonly #underWay = new Map<string, number>();
  #waiters = 0;
  #forced = 0;

  constructor(metrics: Metrics) {
    this.#locks = metrics.counter(
      'waymark_lock_requests_total',
      'Requests for locks that were answered, by outcome.',
    );
    this.#granted = this.#locks.of({ outcome: 'granted' });
    this.lockWaits = metrics
      .histogram('waymark_lock_wait_seconds', 'Time from a request to the lock, of those granted.')
      .of({});
    const waiters = 'Requests for locks that are not answered yet.';
    metrics.gauge('waymark_lock_waiters', waiters, () => this.#waiters);
    const releases = metrics.counter('waymark_lock_releases_total', 'Locks given back.');
    this.#released = releases.of({});
    const forced = 'Locks taken away from their holders.';
    metrics.total('waymark_locks_forced_total', forced, () => this.#forced);
    this.#calls = metrics.counter(
      'waymark_recipe_calls_total',
      'Calls of recipes that were answered, by recipe, call and outcome.',
    );
    this.#callSeconds = metrics.histogram(
      'waymark_recipe_call_seconds',
      'Time of calls of recipes that do not wait for others, by recipe.',
    );
    metrics.gauges(
      'waymark_recipe_waiters',
      'Calls of recipes that wait for others, by recipe.',
      () => [...this.#underWay].map(([recipe, count]) => [{ recipe }, count] as const),
    );
    this.#messages = metrics.counter(
      'waymark_messages_total',
      'Messages to members that were sent here, by outcome.',
    );
  }

  get waiters(): number {
    return this.#waiters;
  }

  of(namespace: string): NamespaceActivity {
    const known = this.activity.get(namespace);
    if (known !== undefined) return known;
    if (namespace !== '' && this.activity.size >= namespacesMax) return this.of('');
    const begun = { reads: 0, writes: 0, calls: 0 };
    this.activity.set(namespace, begun);
    return begun;
  }

  /** A request that was not answered at once. */
  lockAwaited(): void {
    this.#waiters++;
  }

  lockCame(tookMs: number, token: number | null): void {
    this.#waiters--;
    this.lockAnswered(tookMs, token);
  }

  /** @param tookMs  null: as long as the last */
  lockAnswered(tookMs: number | null, token: number | null): void {
    if (token === null) return this.#locks.add(taken);
    this.#granted.value++;
    if (tookMs === null) this.lockWaits.again();
    else this.lockWaits.observe(tookMs / 1_000);
  }

  lockFailed(error: unknown): void {
    this.#waiters--;
    this.#locks.add({ outcome: codeOf(error) });
  }

  lockReleased(): void {
    this.#released.value++;
  }

  forced(locks: number): void {
    this.#forced += locks;
  }

  /** @param call  one of `recipeCalls` */
  callOf(call: RecipeCall<never, never>): CallFigures {
    const known = this.#known.get(call.name);
    if (known !== undefined) return known;
    const [recipe = '', name = ''] = call.name.split('.');
    const figures = {
      recipe,
      waits: call.waits === true,
      ok: this.#calls.of({ recipe, call: name, outcome: 'ok' }),
      failed: (error: unknown) => this.#calls.add({ recipe, call: name, outcome: codeOf(error) }),
      seconds: this.#callSeconds.of({ recipe }),
    };
    this.#known.set(call.name, figures);
    return figures;
  }

  waiting(recipe: string, more: 1 | -1): void {
    this.#underWay.set(recipe, (this.#underWay.get(recipe) ?? 0) + more);
  }

  message(outcome: string): void {
    this.#messages.add({ outcome });
  }
}

const taken = { outcome: 'taken' };

export interface CallFigures {
  readonly recipe: string;
  readonly waits: boolean;
  readonly ok: CountedSeries;
  readonly failed: (error: unknown) => void;
  readonly seconds: ObservedSeries;
}
