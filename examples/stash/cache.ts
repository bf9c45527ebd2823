// A cache of web pages that many processes share and that outlives them: what one of them fetched, all of them have, for a time.
//
//   node examples/dist/stash/cache.js http://127.0.0.1:7420        (in two shells; type addresses of pages)
//
// `TTL_MS` is how long a page is kept: 60 000 unless told.
import { createInterface } from 'node:readline';
import { isWaymarkError, open, type StashIndex } from 'waymark';

interface Page {
  readonly fetchedAt: Date;
  readonly body: Uint8Array;
}

class PageCache {
  readonly #kept: StashIndex<Page>;
  /** Who asks for a page that is being fetched here gets the same one. */
  readonly #fetching = new Map<string, Promise<Page>>();

  constructor(kept: StashIndex<Page>) {
    this.#kept = kept;
  }

  async get(address: string): Promise<{ page: Page; from: 'cache' | 'source' }> {
    const kept = await unlessAway(this.#kept.get(address));
    if (kept !== undefined) return { page: kept, from: 'cache' };
    let fetching = this.#fetching.get(address);
    if (fetching === undefined) {
      fetching = this.#fetch(address).finally(() => this.#fetching.delete(address));
      this.#fetching.set(address, fetching);
    }
    return { page: await fetching, from: 'source' };
  }

  async #fetch(address: string): Promise<Page> {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    const body = new Uint8Array(await response.arrayBuffer());
    const page = { fetchedAt: new Date(), body };
    await unlessAway(this.#kept.put(address, page));
    return page;
  }
}

/** A cache that fails, or does not take what is too large for it, must not fail who asks: the page comes from its source. */
async function unlessAway<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (!isWaymarkError(error)) throw error;
    console.error(`without the cache: ${error.message}`);
    return undefined;
  }
}

const space = await open(process.argv[2] ?? 'http://127.0.0.1:7420');
const pages = space.stash.index<Page>('pages', {
  ttlMs: Number(process.env['TTL_MS'] ?? 60_000),
  // The nearest copy will do: what is missed is fetched once more.
  level: 'one',
});
const cache = new PageCache(pages);
console.log('ready');
for await (const address of createInterface({ input: process.stdin })) {
  try {
    const { page, from } = await cache.get(address);
    console.log(`${address}: ${page.body.length} bytes (${from})`);
  } catch (error) {
    console.log(error instanceof Error ? error.message : String(error));
  }
}
await space.close();
