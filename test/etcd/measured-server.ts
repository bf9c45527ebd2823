import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine } from 'waymark/engine';

/**
 * A program: an etcd of Waymark's in a process of its own, with all of its history, that tells by IPC where it is, and then each time it is asked what it takes.
 */

const mebibyte = 1_048_576;

/** In MiB, of what cannot be collected. */
export interface Used {
  readonly heap: number;
  readonly buffers: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Buffers are freed behind a collection, by the next one at the latest. */
async function used(): Promise<Used> {
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed / mebibyte, buffers: arrayBuffers / mebibyte };
}

const engine = createMemoryEngine({ history: { bytes: 256 * mebibyte } });
const { address } = await startEtcd({ engine });
process.on('message', () => void used().then((told) => process.send?.(told)));
process.on('disconnect', () => process.exit());
process.send?.(address);
