import type { Clock } from 'waymark/engine';
import { explain } from '../etcd/errors.js';
import type { Call, StreamHandlerOf, UnaryHandler } from '../grpc/call.js';
import type { Method } from '../grpc/methods.js';
import { grpcCode } from '../grpc/status.js';
import type { CountedSeries, Counter, Histogram, Labels, Metrics } from '../metrics.js';

/** Methods of etcd's API, each of them measured. */
export type MeasureMethods = (methods: readonly Method[]) => readonly Method[];

/** What is counted of calls of etcd's API, over gRPC and in JSON. */
export function describeEtcd(metrics: Metrics, clock: Clock): MeasureMethods {
  const calls = metrics.counter(
    'waymark_etcd_calls_total',
    "Calls of etcd's API that have ended, by service, method and gRPC code.",
  );
  const seconds = metrics.histogram(
    'waymark_etcd_call_seconds',
    "Time of calls of etcd's API that are one question and one answer, by service and method.",
  );
  const open = new Map<Labels, CountedSeries>();
  metrics.gauges('waymark_etcd_streams', 'Streams under way, by service and method.', () =>
    [...open].map(([labels, { value }]) => [labels, value] as const),
  );
  return (methods) =>
    methods.map((method): Method => {
      const labels = labelsOf(method.path);
      const parts = { labels, calls, seconds, clock };
      if (method.kind === 'unary')
        return { ...method, handle: new MeasuredUnary(method.handle, parts).handle };
      const series = { value: 0 };
      open.set(labels, series);
      return { ...method, handle: measuredStream(method.handle, parts, series) };
    });
}

interface Parts {
  readonly labels: Labels;
  readonly calls: Counter;
  readonly seconds: Histogram;
  readonly clock: Clock;
}

class MeasuredUnary {
  readonly #handle: UnaryHandler<unknown, unknown>;
  readonly #parts: Parts;
  readonly #ok: CountedSeries;
  readonly #seconds: { observe(value: number): void };

  constructor(handle: UnaryHandler<unknown, unknown>, parts: Parts) {
    this.#handle = handle;
    this.#parts = parts;
    this.#ok = parts.calls.of({ ...parts.labels, code: 'OK' });
    this.#seconds = parts.seconds.of(parts.labels);
  }

  readonly handle = (request: unknown, call: Call): unknown => {
    const began = this.#parts.clock.now();
    try {
      const response = this.#handle(request, call);
      if (response instanceof Promise) {
        response.then(
          () => this.#ended(began),
          (error: unknown) => this.#ended(began, error),
        );
      } else this.#ended(began);
      return response;
    } catch (error) {
      this.#ended(began, error);
      throw error;
    }
  };

  #ended(began: number, error?: unknown): void {
    const { clock, calls, labels } = this.#parts;
    this.#seconds.observe((clock.now() - began) / 1_000);
    if (error === undefined) this.#ok.value++;
    else calls.add({ ...labels, code: codeName(error) });
  }
}

function measuredStream(
  handle: StreamHandlerOf<unknown, unknown>,
  { labels, calls }: Parts,
  open: CountedSeries,
): StreamHandlerOf<unknown, unknown> {
  return async (call) => {
    open.value++;
    try {
      await handle(call);
      calls.add({ ...labels, code: 'OK' });
    } catch (error) {
      calls.add({ ...labels, code: codeName(error) });
      throw error;
    } finally {
      open.value--;
    }
  };
}

/** `/etcdserverpb.KV/Put` is Put of KV. */
function labelsOf(path: string): Labels {
  const [, service = '', method = ''] = path.split('/');
  return { service: service.slice(service.lastIndexOf('.') + 1), method };
}

const codeNames = new Map<number, string>(
  Object.entries(grpcCode).map(([name, code]) => [
    code,
    name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(),
  ]),
);

function codeName(error: unknown): string {
  return codeNames.get(explain(error).code) ?? 'UNKNOWN';
}
