import { afterAll, beforeAll, describe } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { startPostgres } from '../support/postgres.js';
import { etcdVersions, postgresVersions } from '../support/versions.js';

interface Elsewhere {
  /** A place of its own in it, each time. */
  url(): string;
  stop(): Promise<void>;
}

/** Declares a suite over each engine that is a server of its own. */
export function onElsewhere(suite: (name: string, url: () => string) => void): void {
  for (const version of etcdVersions) {
    declare(`etcd ${version}`, async () => {
      const { address, stop } = await startEtcd({ version });
      let roots = 0;
      return { url: () => `etcd://${address}/root-${roots++}`, stop };
    });
  }
  for (const version of postgresVersions) {
    declare(`PostgreSQL ${version}`, async () => {
      const { url, stop } = await startPostgres({ version });
      let schemas = 0;
      return { url: () => `${url}?schema=suite-${schemas++}`, stop };
    });
  }

  function declare(name: string, start: () => Promise<Elsewhere>): void {
    describe(name, () => {
      let engine: Elsewhere;
      beforeAll(async () => {
        engine = await start();
      });
      afterAll(() => engine.stop());
      suite(name, () => engine.url());
    });
  }
}
