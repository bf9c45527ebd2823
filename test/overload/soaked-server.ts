import { readdirSync } from 'node:fs';
import { getHeapCodeStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startServer } from '@waymark/server';

/**
 * A program: a server in a process of its own over a file engine, that tells by IPC where it is, and then each time it is asked what it
 * holds.
 */

const [directory = ''] = process.argv.slice(2);

/** After a collection: bytes of the heap (of these, those of compiled code) and outside it, what keeps the event loop, and open files. */
export interface Held {
  readonly heapBytes: number;
  readonly codeBytes: number;
  readonly bufferBytes: number;
  readonly handles: number;
  readonly files: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Buffers are freed behind a collection, by the next one at the latest. */
async function held(): Promise<Held> {
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const code = getHeapCodeStatistics();
  return {
    heapBytes: heapUsed,
    codeBytes: code.code_and_metadata_size + code.bytecode_and_metadata_size,
    bufferBytes: arrayBuffers,
    // A timer that is due soon is no leak, and there are always some.
    handles: process.getActiveResourcesInfo().filter((name) => name !== 'Timeout').length,
    files: readdirSync('/proc/self/fd').length,
  };
}

const server = await startServer({
  engine: `file:${directory}`,
  listen: ['127.0.0.1:0'],
  logLevel: 'silent',
  // Soon full, and as large from then on: what watchers have held back comes and goes with their checkpoints, and hides what stays.
  history: { revisions: 1_000, bytes: 131_072, neededMax: { revisions: 5_000 } },
  watchers: { allowEndpointNet: ['127.0.0.0/8'] },
});
process.on('message', () => void held().then((told) => process.send?.(told)));
process.on('disconnect', () => void server.close().then(() => process.exit()));
process.send?.(server.addresses[0]);
