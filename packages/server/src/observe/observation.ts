import {
  type Clock,
  type Engine,
  type Host,
  loadTracing,
  measured,
  traced,
  type Tracing,
} from 'waymark/engine';
import type { ServeOptions } from 'waymark/wire';
import { Metrics } from '../metrics.js';
import { type BinaryFigures, describeBinary } from './binary-figures.js';
import { EngineFigures } from './engine-figures.js';
import { describeEtcd, type MeasureMethods } from './etcd-figures.js';
import { HostFigures } from './host-figures.js';
import { measuredHost } from './measured-host.js';
import { tracedCalls, tracedMethods } from './tracing.js';

/** What is counted of one server: its registry, and what stands between its parts to count. */
export class Observation {
  readonly metrics = new Metrics();
  readonly engineFigures = new EngineFigures(this.metrics);
  readonly hostFigures = new HostFigures(this.metrics);
  readonly binary: BinaryFigures = describeBinary(this.metrics);
  readonly etcd: MeasureMethods;
  /** What the binary protocol is given; nothing where nobody traces. */
  readonly traced: Pick<ServeOptions, 'traced'>;
  readonly tracing: Tracing | null;
  readonly #clock: Clock;

  private constructor(clock: Clock, tracing: Tracing | null) {
    this.#clock = clock;
    this.tracing = tracing;
    this.traced = tracing === null ? {} : { traced: tracedCalls(tracing) };
    const measure = describeEtcd(this.metrics, clock);
    this.etcd = (methods) => measure(tracing === null ? methods : tracedMethods(tracing, methods));
  }

  static async begin(clock: Clock): Promise<Observation> {
    return new Observation(clock, await loadTracing());
  }

  engine(engine: Engine): Engine {
    const { tracing } = this;
    const seen = tracing === null ? engine : traced(engine, tracing);
    return measured(seen, this.#clock, this.engineFigures);
  }

  host(host: Host): Host {
    return measuredHost(host, this.#clock, this.hostFigures);
  }
}
