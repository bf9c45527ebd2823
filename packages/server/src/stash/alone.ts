import { pino } from 'pino';
import {
  createLocalHost,
  createSpace,
  openEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { NodeHttp } from './node-http.js';
import { type StashNodeOptions, StashNodeService } from './node-service.js';
import { within } from './within.js';

export interface NodeAloneOptions extends StashNodeOptions {
  /** What the engine of its space is opened by. */
  readonly space: string;
  readonly owner: string;
  readonly logLevel: string;
  /** Where `/metrics`, `/healthz` and `/readyz` are served: `:port`, `host:port`. Default: nowhere. */
  readonly metrics?: string | undefined;
}

export interface NodeAlone extends AsyncDisposable {
  readonly service: StashNodeService;
  /** The port of `metrics`. */
  readonly metricsPort: number | undefined;
}

const closeMsMax = 2_000;

/** A storage node in a process of its own. @throws {WaymarkError} `taken`, `corrupt`, `invalid`, `unavailable` */
export async function runNode(options: NodeAloneOptions): Promise<NodeAlone> {
  const { owner } = options;
  const logger = pino({ level: options.logLevel }, pino.destination({ dest: 2, sync: true }));
  const shared = { clock: systemClock, random: systemRandom };
  const told = (message: string): void => logger.info(message);
  const warned = (message: string, err?: unknown): void => logger.warn({ err }, message);
  const engine = await openEngine(options.space, { ...shared, owner, told });
  const space = createSpace(createLocalHost(engine, shared), { ...shared, owner, engine });
  const http = new NodeHttp();
  const close = async (): Promise<void> => {
    await http.close();
    // It may be away: what it does not hear of ends by itself.
    await within(systemClock, closeMsMax, space.close());
  };
  try {
    const metricsPort =
      options.metrics === undefined ? undefined : await http.listen(options.metrics);
    const parts = { ...shared, engine, told, warned, flushed: http.flushed };
    const service = await StashNodeService.open(options, parts);
    http.service = service;
    await service.start(space);
    return {
      service,
      metricsPort,
      async [Symbol.asyncDispose]() {
        http.service = null;
        await service[Symbol.asyncDispose]();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
