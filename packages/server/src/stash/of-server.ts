import { existsSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Space } from 'waymark';
import {
  type Clock,
  DeferredDesk,
  type Engine,
  LazyStash,
  type Random,
  WaymarkError,
} from 'waymark/engine';
import type { Flushed } from './group-commit.js';
import type { StashNodeOptions, StashNodeService } from './node-service.js';

export interface ServerStashOptions extends Omit<StashNodeOptions, 'directory'> {
  /** Where its node keeps its data; false: it has none, and asks those of others. Default with `file:DIR`: `DIR-stash`, from the first call of the stash on; else it has no node. */
  readonly directory?: string | false | undefined;
}

interface ServerStashParts {
  /** Null: no node of its own, only those of others. */
  readonly directory: string | null;
  /** It was asked for, and is not a default: it begins with the server. */
  readonly asked: boolean;
  readonly options: ServerStashOptions;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * The stash of a server: it coordinates for its clients, and may keep a node. One that nobody asked for begins with the first call, or when its directory is there, so that who uses no stash
 * has neither its files nor its lease.
 */
export class ServerStash extends DeferredDesk {
  flushed: Flushed = () => undefined;
  /** Why its node, which nobody asked for but which has data, could not be opened; null when all is well. */
  trouble: string | null = null;
  readonly #parts: ServerStashParts;
  #space: Space | null = null;
  #service: StashNodeService | null = null;
  #begun: Promise<LazyStash> | null = null;
  #closed: Promise<void> | null = null;

  constructor(parts: ServerStashParts) {
    super();
    this.#parts = parts;
  }

  get service(): StashNodeService | null {
    return this.#closed === null ? this.#service : null;
  }

  /** @throws {WaymarkError} as StashNodeService.open, when it was asked for */
  async start(space: Space): Promise<void> {
    this.#space = space;
    const { directory, asked, logger } = this.#parts;
    if (directory === null || !(asked || existsSync(directory))) return;
    try {
      await this.desk();
    } catch (error) {
      if (asked) throw error;
      this.trouble = error instanceof Error ? error.message : String(error);
      logger.warn({ err: error }, 'the stash cannot be opened: the server runs without its node');
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const desk = await this.#begun?.catch(() => null);
    await this.#service?.[Symbol.asyncDispose]();
    await desk?.close();
  }

  protected async desk(): Promise<LazyStash> {
    if (this.#closed !== null) throw new WaymarkError('unavailable', 'the server stops');
    if (this.#begun === null) {
      this.#begun = this.#begin();
      // What could not be opened may be open to the next who asks.
      this.#begun.catch(() => (this.#begun = null));
    }
    return await this.#begun;
  }

  async #begin(): Promise<LazyStash> {
    const { directory, options, engine, clock, random, logger } = this.#parts;
    const { token, zone, ca } = options;
    if (directory === null) return new LazyStash({ engine, clock, random }, { token, zone, ca });
    const { StashNodeService: Service } = await import('./node-service.js');
    const service = await Service.open(
      { ...options, directory },
      {
        ...{ engine, clock, random },
        told: (message) => logger.info(message),
        warned: (message, err) => logger.warn({ err }, message),
        flushed: (ms, entries) => this.flushed(ms, entries),
      },
    );
    this.#service = service;
    this.trouble = null;
    const { here } = service;
    const desk = new LazyStash({ engine, clock, random }, { token, zone, ca, here });
    if (this.#space !== null) await service.start(this.#space);
    return desk;
  }
}

/** @param engine  what it is opened by, or itself */
export function stashOf(
  asked: false | ServerStashOptions | undefined,
  engine: string | Engine,
  parts: Pick<ServerStashParts, 'engine' | 'clock' | 'random' | 'logger'>,
): ServerStash {
  const options = asked === false ? { directory: false as const } : (asked ?? {});
  const told = options.directory;
  const directory = told === false ? null : (told ?? defaultDirectory(engine));
  return new ServerStash({ ...parts, options, directory, asked: typeof told === 'string' });
}

/** Where a server keeps its node unless it is told: beside the data of a file engine, and nowhere else. */
function defaultDirectory(engine: string | Engine): string | null {
  if (typeof engine !== 'string') return null;
  const directory = /^file:(?:\/\/)?([^?#]+)/.exec(engine)?.[1];
  return directory === undefined ? null : `${directory.replace(/\/+$/, '')}-stash`;
}
