import { expect, test } from 'vitest';
import { createMemoryEngine } from 'waymark/engine';

const leases = 100_000;
const gapMsMax = 50;

/**
 * Measures the longest time for which the event loop ran nothing else. A gap counts with the processor time this process had
 * in it where that is less: what other processes take of the machine is not the engine's.
 */
function probe(): { readonly gapMs: () => number; readonly stop: () => void } {
  let last = performance.now();
  let lastCpuMs = cpuMs();
  let longest = 0;
  let running = true;
  const tick = (): void => {
    const now = performance.now();
    const nowCpuMs = cpuMs();
    longest = Math.max(longest, Math.min(now - last, nowCpuMs - lastCpuMs));
    last = now;
    lastCpuMs = nowCpuMs;
    if (running) setImmediate(tick);
  };
  setImmediate(tick);
  return { gapMs: () => longest, stop: () => void (running = false) };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

test(`[K10] ${leases} leases that end at once do not block the event loop for ${gapMsMax} ms`, async () => {
  await using engine = createMemoryEngine();
  const endMs = performance.now() + 4_000;
  for (let n = 0; n < leases; n++) {
    const { id } = await engine.grant(Math.ceil(endMs - performance.now()));
    await engine.commit({ apply: [{ type: 'put', key: `k${n}`, value: 'held', lease: id }] });
    if (n % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const { revision, leases: granted } = await engine.status();
  expect(granted).toBe(leases);
  expect(performance.now(), 'all are granted before the first ends').toBeLessThan(endMs);
  // Another client keeps its own alive meanwhile.
  const kept = await engine.grant(1_000);
  let renewals = 0;
  let storming = true;
  const keeping = (async () => {
    for (; storming; renewals++) {
      await engine.renew(kept.id);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const delay = probe();
  let expired = 0;
  let firstMs = 0;
  for await (const { changes } of engine.watch([{ key: '', end: '' }], { after: revision })) {
    if (expired === 0 && changes.length > 0) firstMs = performance.now();
    expired += changes.filter(({ kind }) => kind === 'expire').length;
    if (expired === leases) break;
  }
  delay.stop();
  storming = false;
  await keeping;
  const lateMs = performance.now() - endMs;
  console.log(
    `lease storm: ${leases} ended within ${Math.round(lateMs)} ms, longest stall ${delay.gapMs().toFixed(1)} ms, ${renewals} renewals meanwhile`,
  );
  expect(firstMs, 'none ended early').toBeGreaterThanOrEqual(endMs);
  expect(delay.gapMs()).toBeLessThanOrEqual(gapMsMax);
  expect((await engine.status()).keys).toBe(0);
  expect((await engine.status()).leases).toBe(1);
  expect(renewals).toBeGreaterThan(10);
});
