import type { Clock } from 'waymark/engine';
import type { Believed } from './endpoint-store.js';
import type { EndpointWorker } from './endpoint-worker.js';

/** A try under way when the processor stops gets so long. */
const farewellMs = 5_000;

/** Tries under way may end while the lease stands, and endpoints are given up. Where it does not, all of it ends at once. */
export async function endWorkers(
  workers: readonly EndpointWorker[],
  lease: Believed,
  clock: Clock,
): Promise<void> {
  const lost = (worker: EndpointWorker): Promise<void> => worker.lost().catch(() => undefined);
  if (!lease.isHeld()) {
    await Promise.all(workers.map(lost));
    return;
  }
  const disarm = clock.after(farewellMs, () => {
    for (const worker of workers) void lost(worker);
  });
  await Promise.all(workers.map((worker) => worker.giveUp().catch(() => undefined)));
  disarm();
}
