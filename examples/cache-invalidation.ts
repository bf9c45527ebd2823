// A cache in each of several processes, kept right by watches: whoever writes need not know who caches.
//
//   node examples/dist/cache-invalidation.js http://127.0.0.1:7420        (in two shells; type `key` or `key=value`)
import { createInterface } from 'node:readline';
import { type Namespace, open } from 'waymark';

class Cache {
  readonly #source: Namespace<string>;
  readonly #kept = new Map<string, string | null>();

  constructor(source: Namespace<string>) {
    this.#source = source;
  }

  /** Forgets what anybody changes, also below a key whose owner knows nothing of it. */
  async follow(signal: AbortSignal): Promise<void> {
    try {
      for await (const event of this.#source.watch('/', { tree: true, locks: false, signal })) {
        if (event.kind === 'resync') this.#kept.clear();
        else if (this.#kept.delete(event.path)) console.log(`forgot ${event.path}`);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async get(path: string): Promise<{ value: string | null; from: 'cache' | 'source' }> {
    const kept = this.#kept.get(path);
    if (kept !== undefined) return { value: kept, from: 'cache' };
    const value = (await this.#source.get(path))?.value ?? null;
    this.#kept.set(path, value);
    return { value, from: 'source' };
  }
}

const space = await open(process.argv[2] ?? 'http://127.0.0.1:7420');
const prices = space.namespace<string>('prices');
const cache = new Cache(prices);
const stop = new AbortController();
const following = cache.follow(stop.signal);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [path = '/', value] = line.split('=');
  if (value !== undefined) await prices.put(path, value);
  else {
    const found = await cache.get(path);
    console.log(`${path} is ${found.value} (${found.from})`);
  }
}
stop.abort();
await following;
await space.close();
