import type { Logger } from 'pino';
import type { Clock } from 'waymark/engine';
import { repeat } from './http/streams.js';
import type { Tls } from './tls.js';

export interface TlsReloadOptions {
  readonly clock: Clock;
  /** Default 10 000. */
  readonly everyMs?: number | undefined;
  /** New files are served, or with an error refused. */
  readonly told: (message: string, error?: unknown) => void;
}

/**
 * Certificates are replaced while connections go on. The files are looked at now and then, which sees what a watch of the file system may
 * not: a symbolic link that moves on, as Kubernetes moves it, and a folder of the network. Who cannot wait asks at once (`SIGHUP`).
 */
export class TlsReload {
  readonly #reload: () => Promise<boolean>;
  readonly #told: TlsReloadOptions['told'];
  readonly #still: () => void;
  /** What was wrong last: a file that stays broken is told of once. */
  #wrong = '';

  /** @param reload  as `Tls.reload` */
  constructor(reload: () => Promise<boolean>, options: TlsReloadOptions) {
    const { clock, everyMs = 10_000, told } = options;
    this.#reload = reload;
    this.#told = told;
    this.#still = repeat(clock, everyMs, () => void this.look());
  }

  /** Whatever is wrong with the files is told: what was served is served still. */
  async look(): Promise<void> {
    try {
      if (await this.#reload()) this.#told('TLS: new certificates are served');
      this.#wrong = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#wrong)
        this.#told('TLS: new files are refused, the old certificates are served', error);
      this.#wrong = message;
    }
  }

  stop(): void {
    this.#still();
  }
}

/** Of a server's port; null where nothing is served with TLS. */
export function portReload(
  tls: Tls | null,
  { logger, clock, everyMs }: Omit<TlsReloadOptions, 'told'> & { readonly logger: Logger },
): TlsReload | null {
  if (tls === null) return null;
  const told = (message: string, error?: unknown): void => {
    if (error === undefined) logger.warn(message);
    else logger.error({ err: error }, message);
  };
  return new TlsReload(() => tls.reload(), { clock, everyMs, told });
}
