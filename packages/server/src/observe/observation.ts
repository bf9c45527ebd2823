import { type Clock, type Engine, type Host, measured } from 'waymark/engine';
import { Metrics } from '../metrics.js';
import { type BinaryFigures, describeBinary } from './binary-figures.js';
import { EngineFigures } from './engine-figures.js';
import { describeEtcd, type MeasureMethods } from './etcd-figures.js';
import { HostFigures } from './host-figures.js';
import { measuredHost } from './measured-host.js';

/** What is counted of one server: its registry, and what stands between its parts to count. */
export class Observation {
  readonly metrics = new Metrics();
  readonly engineFigures = new EngineFigures(this.metrics);
  readonly hostFigures = new HostFigures(this.metrics);
  readonly binary: BinaryFigures = describeBinary(this.metrics);
  readonly etcd: MeasureMethods;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.etcd = describeEtcd(this.metrics, clock);
  }

  engine(engine: Engine): Engine {
    return measured(engine, this.#clock, this.engineFigures);
  }

  host(host: Host): Host {
    return measuredHost(host, this.#clock, this.hostFigures);
  }
}
