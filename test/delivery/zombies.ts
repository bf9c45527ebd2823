import { hostname } from 'node:os';
import { endpointKinds } from '../../packages/server/src/endpoints/kinds.js';
import { stateKey } from '../../packages/server/src/watchers/keys.js';
import { endpointOf } from '../../packages/server/src/watchers/registration.js';
import type { SeededRandom } from '../faults/random.js';
import {
  type HeardRequest,
  type HttpReceiver,
  startHttpReceiver,
} from '../support/http-receiver.js';
import { type Arrival, judge, type Judged } from './arrivals.js';
import { type Ground, sealingKey, startGround } from './ground.js';
import { LateGate } from './late-gate.js';
import { eventsIn } from './moody-http.js';
import { startProcessor, type StartedProcessor } from './processors.js';

const kinds = endpointKinds();
/** Long enough that a slow machine stops a processor before its lease is over. */
const ttlMs = 2_000;
const keptMs = 20_000;
const refusal = 'the cursor came too late and was refused';

interface Processor extends StartedProcessor {
  readonly gate: LateGate;
  readonly owner: string;
}

interface Sink {
  readonly endpoint: string;
  /** The delivery that waits for its answer. */
  held: HeardRequest | null;
  readonly arrivals: Arrival[];
}

/** One that was stopped in the middle of its deliveries. */
interface Zombie {
  readonly processor: Processor;
  readonly id: string;
  /** Requests that wait for their answer when it is stopped. */
  readonly asleep: readonly { readonly sink: Sink; readonly request: HeardRequest }[];
  /** It had been answered, and its cursor was on the way. */
  readonly answered: readonly Sink[];
  readonly refusedBefore: number;
}

export interface ZombiesReport {
  /** Processors that were stopped in the middle of a delivery for longer than their TTL, and woken. */
  zombies: number;
  /** Cursors of theirs that came to the engine after the take-over. */
  lateCursors: number;
  /** Of these, refused: as the processors themselves were told. */
  refused: number;
  /** Deliveries that were answered after the take-over: no cursor was asked for. */
  lateAnswers: number;
  /** Stopped too late, or cut off meanwhile: not counted. */
  missed: number;
}

/** Processors that are stopped while their receiver holds their requests, and woken when others have gone on. */
export class Zombies implements AsyncDisposable {
  readonly report: ZombiesReport = {
    zombies: 0,
    lateCursors: 0,
    refused: 0,
    lateAnswers: 0,
    missed: 0,
  };
  readonly #random: SeededRandom;
  readonly #ground: Ground;
  readonly #receiver: HttpReceiver;
  readonly #sinks: ReadonlyMap<string, Sink>;
  readonly #processors: Processor[] = [];
  readonly #paths: string[] = [];
  #holding = false;
  #came = (): void => {};

  private constructor(random: SeededRandom, ground: Ground, receiver: HttpReceiver, sinks: number) {
    this.#random = random;
    this.#ground = ground;
    this.#receiver = receiver;
    const names = Array.from({ length: sinks }, (_, n) => `/sink/${n}`);
    this.#sinks = new Map(
      names.map((name) => {
        const endpoint = endpointOf(kinds, `http://127.0.0.1:${receiver.port}${name}`);
        return [name, { endpoint, held: null, arrivals: [] }];
      }),
    );
    receiver.answer = (request) => this.#heard(request);
  }

  static async start(
    random: SeededRandom,
    { processors, sinks }: { readonly processors: number; readonly sinks: number },
  ): Promise<Zombies> {
    const zombies = new Zombies(random, await startGround(kinds), await startHttpReceiver(), sinks);
    await zombies.#begin(processors);
    return zombies;
  }

  /** Stops so many at most, in the middle of what they deliver, lets others go on, and wakes them. */
  async round(most: number): Promise<void> {
    this.#holding = true;
    await this.#put();
    const all = [...this.#sinks.values()];
    while (all.some(({ held }) => held === null)) {
      await new Promise<void>((resolve) => (this.#came = resolve));
    }
    const stopped = await Promise.all(this.#choose(most).map((one) => this.#stop(one)));
    this.#holding = false;
    for (const sink of all) this.#accept(sink);
    await this.#toldAll();
    await this.#put();
    await this.#toldAll();
    for (const one of stopped) await this.#wake(one);
    await this.#back();
  }

  /** What arrived, judged. @throws when an event is missing, out of order, or came again but for the tail, or a cursor was written by who had no right to */
  async judged(): Promise<readonly Judged[]> {
    await this.#ground.ledger.close();
    return [...this.#sinks].map(([what, { arrivals }]) =>
      judge(arrivals, { paths: this.#paths, batch: 1, fences: false, what }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holding = false;
    for (const sink of this.#sinks.values()) this.#accept(sink);
    for (const { command, gate } of this.#processors) {
      gate.release();
      command.child.kill('SIGCONT');
    }
    await Promise.all(this.#processors.map(({ command }) => command.stop('SIGKILL')));
    for (const { gate } of this.#processors) await gate[Symbol.asyncDispose]();
    await this.#ground[Symbol.asyncDispose]();
    await this.#receiver[Symbol.asyncDispose]();
  }

  async #begin(processors: number): Promise<void> {
    const { desk, url } = this.#ground;
    const shared = { namespace: 'rig', pattern: '/o/*', batch: 1, retry: 'forever' } as const;
    for (const name of this.#sinks.keys()) {
      const endpoint = `http://127.0.0.1:${this.#receiver.port}${name}`;
      await desk.add({ ...shared, endpoint, timeoutMs: 120_000 });
    }
    for (let n = 0; n < processors; n++) {
      const gate = await LateGate.start(Number(new URL(url).port));
      const started = startProcessor(gate.port, { ttlMs, sealingKey });
      this.#processors.push({
        ...started,
        gate,
        owner: `${hostname()}:${started.command.child.pid}`,
      });
    }
    for (const { begun } of this.#processors) await begun;
    await this.#back();
  }

  #heard(request: HeardRequest): void {
    const sink = this.#sinks.get(request.url);
    if (sink === undefined) throw new Error(`nobody asked for ${request.url}`);
    // Whoever lost its hold hangs up, and another one asks.
    request.response.once('close', () => {
      if (sink.held === request) sink.held = null;
    });
    sink.held = request;
    if (!this.#holding) this.#accept(sink);
    this.#came();
  }

  #accept(sink: Sink): void {
    const { held } = sink;
    if (held === null) return;
    sink.held = null;
    accept(sink, held);
  }

  async #put(): Promise<void> {
    const path = `/o/${this.#paths.length}`;
    this.#paths.push(path);
    await this.#ground.namespace.put(path, this.#paths.length);
  }

  /** Until the cursors say that all that was put has been told. */
  async #toldAll(): Promise<void> {
    const { ledger } = this.#ground;
    const behind = (): string[] =>
      [...this.#sinks.values()]
        .map(({ endpoint }) => endpoint)
        .filter((endpoint) => (ledger.state(endpoint)?.delivered ?? 0) < this.#paths.length);
    await ledger.until(
      () => behind().length === 0,
      () => `${behind().join(' ')} are not told all`,
    );
  }

  /** Some of those that deliver now. */
  #choose(most: number): Zombie[] {
    const { ledger } = this.#ground;
    const chosen: Zombie[] = [];
    const from = [...this.#processors];
    while (from.length > 0 && chosen.length < most) {
      const [processor] = from.splice(this.#random.below(from.length), 1) as [Processor];
      const [id = ''] = ledger.processorsOf(processor.owner);
      const own = [...this.#sinks.values()].filter(
        ({ endpoint }) => ledger.holder(endpoint) === id,
      );
      const answered = own.filter((_, at) => at === 0 || this.#random.below(2) === 0);
      const asleep = own
        .filter((sink) => !answered.includes(sink))
        .flatMap((sink) => (sink.held === null ? [] : [{ sink, request: sink.held }]));
      // Nobody else answers it.
      for (const { sink } of asleep) sink.held = null;
      const refusedBefore = refusalsIn(processor);
      if (own.length > 0) chosen.push({ processor, id, asleep, answered, refusedBefore });
    }
    return chosen;
  }

  /** Once the cursors of what was answered are on their way to the engine. @returns what it was in the middle of; nothing where that was too late */
  async #stop(one: Zombie): Promise<Zombie> {
    const { command, gate } = one.processor;
    gate.keepBack();
    for (const sink of one.answered) this.#accept(sink);
    const cursors = one.answered.map(({ endpoint }) => stateKey(endpoint));
    const onTheWay = await gate.kept(cursors, keptMs);
    command.child.kill('SIGSTOP');
    if (onTheWay) return one;
    this.report.missed += 1;
    return { ...one, answered: [] };
  }

  /** Others have told what it was telling, and more. */
  async #wake({ processor, answered, asleep, refusedBefore }: Zombie): Promise<void> {
    const { command, gate } = processor;
    for (const { sink, request } of asleep) accept(sink, request);
    const { lost } = gate;
    gate.release();
    command.child.kill('SIGCONT');
    if (lost || answered.length === 0) {
      this.report.missed += answered.length === 0 ? 0 : 1;
      return;
    }
    const told = (): number => refusalsIn(processor) - refusedBefore;
    const missing = (): string => {
      this.#ground.ledger.check();
      return `${answered.length} cursors were refused, but ${told()}`;
    };
    await hears(processor, () => told() >= answered.length, missing);
    this.report.zombies += 1;
    this.report.lateAnswers += asleep.length;
    this.report.lateCursors += answered.length;
    this.report.refused += told();
  }

  /** Until all are there again. */
  async #back(): Promise<void> {
    const { ledger } = this.#ground;
    const away = (): Processor[] =>
      this.#processors.filter(({ owner }) => ledger.processorsOf(owner).length !== 1);
    await ledger.until(
      () => away().length === 0,
      () => `${away().length} processors are not back`,
    );
  }
}

function accept({ arrivals }: Sink, request: HeardRequest): void {
  arrivals.push(...eventsIn(request));
  request.response.writeHead(204).end();
}

/** Lines of its log that say so. */
function refusalsIn({ command }: Processor): number {
  const lines = command.err.split('\n').slice(0, -1);
  return lines.filter((line) => line.includes(refusal)).length;
}

/** Until what it has said on standard error makes it so. */
async function hears(
  { command }: Processor,
  fact: () => boolean,
  missing: () => string,
): Promise<void> {
  const late = AbortSignal.timeout(keptMs);
  while (!fact()) {
    if (late.aborted)
      throw new Error(`it never said that ${missing()}: ${command.err.slice(-2_000)}`);
    await new Promise<void>((resolve) => {
      command.child.stderr?.once('data', () => resolve());
      late.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}
