import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from 'waymark/engine';
import { engineSuite, type OpenedEngine, propertySuite } from 'waymark/testing';
import { type EtcdVersion, startEtcd } from '../support/etcd.js';
import { EtcdTraces } from '../support/etcd-traces.js';
import { orNotRun } from '../support/not-run.js';
import { runsOf } from './engines.js';

/** `host:port` of an etcd that runs already. Tests of etcd 3.4 take it instead of one of their own. */
const running = process.env['WAYMARK_TEST_ETCD'];

/** The suites on one version of etcd; at the end nothing of ours is left in it. */
export function etcdSuites(version: EtcdVersion, file: string): void {
  const own = version === '3.5' || running === undefined;
  const name = own ? `etcd ${version}` : `etcd at ${running}`;
  if (own && orNotRun(`etcd-${version}`, `engineSuite and propertySuite on ${name}`) === null)
    return;
  /** Below it all that the tests write. */
  const above = `waymark-test-${process.pid}-${Date.now().toString(36)}`;
  let stop = async (): Promise<void> => {};
  let address = running ?? '';
  let traces: EtcdTraces;
  let roots = 0;

  beforeAll(async () => {
    if (own) ({ address, stop } = await startEtcd({ version }));
    traces = await EtcdTraces.before(address);
  });

  afterAll(async () => {
    await traces.close();
    await stop();
  });

  /** A root of its own in the one etcd. */
  async function open(): Promise<OpenedEngine> {
    const root = `${above}/${roots++}`;
    const engine = await openEngine(`etcd://${address}/${root}`);
    const close = async (): Promise<void> => {
      for (const id of await engine.leases()) await engine.revoke(id);
      await engine[Symbol.asyncDispose]();
      await traces.remove(`${root}/`);
    };
    return { engine, close };
  }

  const suite = { name, runner: { describe, test }, open };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf(file, 20) });

  test(`[K12] of all these tests 0 keys and 0 leases are left in ${name}`, async () => {
    expect(roots).toBeGreaterThan(0);
    expect(await traces.left(`${above}/`)).toEqual({ keys: 0, leases: 0 });
  });
}
