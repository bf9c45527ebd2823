import type { WatchRequest, Watch } from 'waymark/etcd';
import type { Service } from '../grpc/methods.js';
import { whenOver } from '../grpc/when-over.js';
import type { Ground } from './ground.js';
import { WatchBytes } from './watch-bytes.js';
import { type WatchCall, WatchStream } from './watch-stream.js';

/** Streams of watches. */
export class WatchService {
  readonly #ground: Ground;
  readonly #bytes: WatchBytes;

  constructor(ground: Ground) {
    this.#ground = ground;
    this.#bytes = new WatchBytes(ground);
  }

  get handlers(): Service<typeof Watch> {
    return { watch: (call) => this.watch(call) };
  }

  /** A client that has nothing more to ask goes on being told, as in etcd: the call ends by its signal, or with the engine's watches. */
  async watch(call: WatchCall): Promise<void> {
    const stream = new WatchStream(this.#ground, this.#bytes, call);
    const over = whenOver(call.signal);
    try {
      await Promise.race([over, stream.failure, read(call, stream).then(() => over)]);
    } finally {
      stream.close();
    }
  }
}

async function read(requests: AsyncIterable<WatchRequest>, stream: WatchStream): Promise<void> {
  for await (const request of requests) await stream.handle(request);
}
