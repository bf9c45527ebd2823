import { describe, expect, test } from 'vitest';
import { type Engine, isWaymarkError, openFileEngine } from 'waymark/engine';
import { FakeClock, SimulatedDisk } from 'waymark/testing';

const put = (engine: Engine, key: string, value = 'v') =>
  engine.commit({ apply: [{ type: 'put', key, value }] });

const open = (disk: SimulatedDisk): Promise<Engine> =>
  openFileEngine('simulated', { disk, clock: new FakeClock() });

async function keysOf(engine: Engine): Promise<string[]> {
  return (await engine.read({ key: '', end: '' })).entries.map(({ key }) => key);
}

/** What `count` puts, 8 at a time, ended with. */
async function putMany(
  engine: Engine,
  count: number,
  value = 'v',
): Promise<{ acknowledged: string[]; codes: string[] }> {
  const acknowledged: string[] = [];
  const codes: string[] = [];
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < count) {
      const key = `k/${next++}`;
      try {
        await put(engine, key, value);
        acknowledged.push(key);
      } catch (error) {
        codes.push(isWaymarkError(error) ? error.code : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, writer));
  return { acknowledged, codes };
}

describe('a failing flush', () => {
  test('[G15] EIO at the k-th call, k = 1 to 50: no false answer, and nothing is flushed again', async () => {
    const seen = new Set<string>();
    for (let k = 1; k <= 50; k++) {
      const disk = new SimulatedDisk();
      const engine = await open(disk);
      let calls = 0;
      let after = 0;
      disk.fault = (call) => {
        if (call !== 'sync' && call !== 'write') return null;
        calls++;
        if (calls > k) after++;
        return calls === k ? 'EIO' : null;
      };
      const { acknowledged, codes } = await putMany(engine, 400);
      expect(codes.length, `k = ${k}`).toBeGreaterThan(0);
      for (const code of codes) seen.add(code);
      expect(after, `k = ${k}: calls after the failed one`).toBeLessThanOrEqual(2);
      expect(await keysOf(engine), `k = ${k}: reads go on, at what was acknowledged`).toEqual(
        [...acknowledged].sort(),
      );
      await expect(engine.grant(5_000)).rejects.toMatchObject({ code: 'unavailable' });
      await engine[Symbol.asyncDispose]();

      disk.fault = () => null;
      const restarted = await open(disk.afterPowerLoss({ next: () => 0.1, id: () => 'unused' }));
      expect(await keysOf(restarted), `k = ${k}`).toEqual(expect.arrayContaining(acknowledged));
      await restarted[Symbol.asyncDispose]();
    }
    expect([...seen].sort()).toEqual(['unavailable', 'uncertain']);
  });

  test('[G15] it ends watches', async () => {
    const disk = new SimulatedDisk();
    const engine = await open(disk);
    const watch = engine.watch([{ key: '', end: '' }], { after: 0 })[Symbol.asyncIterator]();
    const next = watch.next();
    disk.fault = (call) => (call === 'sync' ? 'EIO' : null);
    await expect(put(engine, 'k')).rejects.toMatchObject({ code: 'uncertain' });
    await expect(next).rejects.toMatchObject({ code: 'unavailable' });
    await engine[Symbol.asyncDispose]();
  });
});

describe('a full disk', () => {
  test('[G15] commits are refused before any work, reads and renewals go on, writes resume with space', async () => {
    const disk = new SimulatedDisk({ capacityBytes: 3_000_000 });
    const engine = await open(disk);
    const lease = await engine.grant(10_000);
    const { acknowledged, codes } = await putMany(engine, 4_000, 'x'.repeat(1_000));
    expect(new Set(codes)).toEqual(new Set(['storage_full']));
    expect(await keysOf(engine)).toEqual([...acknowledged].sort());
    expect(await engine.renew(lease.id)).toEqual(lease);
    const { revision } = await engine.status();

    disk.capacityBytes = 8_000_000;
    expect(await put(engine, 'resumed')).toMatchObject({ revision: revision + 1 });
    await engine[Symbol.asyncDispose]();
    const reopened = await open(disk);
    expect(await keysOf(reopened)).toEqual([...acknowledged, 'resumed'].sort());
    await reopened[Symbol.asyncDispose]();
  });

  test('[G15] a commit larger than the space that is left is uncertain, half-written never, and kept once there is space', async () => {
    const disk = new SimulatedDisk({ capacityBytes: 3_000_000 });
    const engine = await open(disk);
    const large = 'x'.repeat(1_000_000);
    const ends = await Promise.allSettled(
      ['a', 'b', 'c', 'd', 'e'].map((key) => put(engine, key, large)),
    );
    const codes = ends.map((end) =>
      end.status === 'fulfilled' ? 'kept' : (end.reason as { code: string }).code,
    );
    expect(codes).toContain('uncertain');
    await expect(put(engine, 'f')).rejects.toMatchObject({ code: 'storage_full' });
    const kept = ['a', 'b', 'c', 'd', 'e'].filter((_, i) => codes[i] === 'kept');
    expect(await keysOf(engine)).toEqual(kept);

    const crashed = await open(disk.afterPowerLoss({ next: () => 0.3, id: () => 'unused' }));
    expect(await keysOf(crashed)).toEqual(expect.arrayContaining(kept));
    await crashed[Symbol.asyncDispose]();

    disk.capacityBytes = 20_000_000;
    await put(engine, 'f');
    expect(await keysOf(engine)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await engine[Symbol.asyncDispose]();
    const reopened = await open(disk);
    expect(await keysOf(reopened)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await reopened[Symbol.asyncDispose]();
  });

  test('[G15] an engine opens on a full disk to be read', async () => {
    const disk = new SimulatedDisk();
    const first = await open(disk);
    await put(first, 'k');
    await first[Symbol.asyncDispose]();
    disk.capacityBytes = disk.usedBytes;
    const engine = await open(disk);
    expect(await keysOf(engine)).toEqual(['k']);
    await expect(put(engine, 'l')).rejects.toMatchObject({ code: 'storage_full' });
    disk.capacityBytes = Infinity;
    await put(engine, 'l');
    await engine[Symbol.asyncDispose]();
  });

  test('[G15] a snapshot that finds no space is left out, and the log goes on', async () => {
    const disk = new SimulatedDisk({ capacityBytes: 4_000_000 });
    let told: (line: string) => void = () => undefined;
    const snapshot = new Promise<string>((resolve) => {
      told = (line) => {
        if (line.includes('snapshot')) resolve(line);
      };
    });
    const options = { disk, clock: new FakeClock(), snapshotLogBytes: 1_500_000, told };
    const engine = await openFileEngine('simulated', options);
    const { acknowledged } = await putMany(engine, 2_500, 'x'.repeat(1_000));
    expect(await snapshot).toContain('no snapshot');
    await engine[Symbol.asyncDispose]();
    expect((await disk.list()).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    disk.capacityBytes = Infinity;
    const reopened = await open(disk);
    expect(await keysOf(reopened)).toEqual([...acknowledged].sort());
    await reopened[Symbol.asyncDispose]();
  });
});
