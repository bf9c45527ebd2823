import { pino } from 'pino';
import {
  createLocalHost,
  createSpace,
  openEngine,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { type StashNodeOptions, StashNodeService } from './node-service.js';

export interface NodeAloneOptions extends StashNodeOptions {
  /** What the engine of its space is opened by. */
  readonly space: string;
  readonly owner: string;
  readonly logLevel: string;
}

export interface NodeAlone extends AsyncDisposable {
  readonly service: StashNodeService;
}

/** A storage node in a process of its own. @throws {WaymarkError} `taken`, `corrupt`, `invalid`, `unavailable` */
export async function runNode(options: NodeAloneOptions): Promise<NodeAlone> {
  const { owner } = options;
  const logger = pino({ level: options.logLevel }, pino.destination({ dest: 2, sync: true }));
  const shared = { clock: systemClock, random: systemRandom };
  const told = (message: string): void => logger.info(message);
  const warned = (message: string, err?: unknown): void => logger.warn({ err }, message);
  const engine = await openEngine(options.space, { ...shared, owner, told });
  const space = createSpace(createLocalHost(engine, shared), { ...shared, owner, engine });
  try {
    const service = await StashNodeService.open(options, { ...shared, engine, told, warned });
    await service.start(space);
    return {
      service,
      async [Symbol.asyncDispose]() {
        await service[Symbol.asyncDispose]();
        await space.close();
      },
    };
  } catch (error) {
    await space.close();
    throw error;
  }
}
