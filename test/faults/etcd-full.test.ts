import { describe, expect, test } from 'vitest';
import { openEngine } from 'waymark/engine';
import { type EtcdVersion, startEtcd } from '../support/etcd.js';
import { orNotRun } from '../support/not-run.js';

/** Many commits at once fill an etcd: what is told of each is true, and its quota holds. */
const quotaBytes = 6_000_000;
const value = 'x'.repeat(3_000);
const atOnce = 300;

describe.each<EtcdVersion>(['3.4', '3.5'])('etcd %s', (version) => {
  if (orNotRun(`etcd-${version}`, `a full etcd ${version}`) === null) return;

  test('[K11] an etcd that fills up refuses groups of commits; storage_full was never applied, and none applied twice', async () => {
    const etcd = await startEtcd({ version, flags: [`--quota-backend-bytes=${quotaBytes}`] });
    const engine = await openEngine(`etcd://${etcd.address}/full`);
    const put = async (key: string): Promise<string> =>
      await engine
        .commit({
          when: [{ key, target: 'version', is: '=', to: 0 }],
          apply: [{ type: 'put', key, value }],
        })
        .then(
          ({ succeeded }) => (succeeded ? 'applied' : 'conflict'),
          (error: { readonly code?: string }) => String(error.code),
        );
    const told = new Map<string, string>();
    const codes = new Map<string, number>();
    for (let wave = 0; (codes.get('storage_full') ?? 0) < atOnce && wave < 30; wave++) {
      const keys = Array.from({ length: atOnce }, (_, index) => `${wave}-${index}`);
      const outcomes = await Promise.all(keys.map(put));
      outcomes.forEach((code, index) => {
        told.set(keys[index] ?? '', code);
        codes.set(code, (codes.get(code) ?? 0) + 1);
      });
    }
    const { entries } = await engine.read({ key: '', end: '' });
    const there = new Set(entries.map(({ key }) => key));
    const applied = [...told].filter(
      ([key, code]) => code === 'uncertain' && there.has(key),
    ).length;
    console.log(
      `${JSON.stringify(Object.fromEntries(codes))}, ${applied} of the uncertain applied`,
    );
    for (const [key, code] of told) {
      if (code !== 'uncertain')
        expect(`${code} ${there.has(key)}`).toBe(`${code} ${code === 'applied'}`);
    }
    expect(entries.every(({ version: writes }) => writes === 1)).toBe(true);
    expect(codes.get('storage_full')).toBeGreaterThanOrEqual(atOnce);
    expect(entries.length * value.length).toBeLessThan(4 * quotaBytes);
    const [first] = entries;
    const freed = await engine.commit({ apply: [{ type: 'delete', key: first?.key ?? '' }] });
    expect(freed.results[0]).toMatchObject({ deleted: 1 });
    await engine[Symbol.asyncDispose]();
    await etcd.stop();
  });
});
