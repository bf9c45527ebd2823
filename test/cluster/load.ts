/**
 * A client that writes one key after the other, as fast as it is answered, to any server that answers: what it was told is written must be
 * there in the end.
 */
export class Load {
  readonly acked = new Map<string, string>();
  /** The longest time between two answers, ms. */
  longestGapMs = 0;
  readonly #name: string;
  readonly #urls: () => readonly string[];
  readonly #done: Promise<void>;
  #stopped = false;
  #heard: (() => void)[] = [];
  #lastAt = performance.now();

  constructor(name: string, urls: () => readonly string[]) {
    this.#name = name;
    this.#urls = urls;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  /** Resolves once so many more were written. */
  async more(count: number): Promise<void> {
    const enough = this.acked.size + count;
    const late = new Promise<never>((_resolve, reject) => {
      setTimeout(() => reject(new Error(`no ${count} writes within 60 s`)), 60_000).unref();
    });
    while (this.acked.size < enough) {
      await Promise.race([late, new Promise<void>((resolve) => this.#heard.push(resolve))]);
    }
  }

  /** The longest gap since the last time this was asked, the one that is still open among them. */
  gapMs(): number {
    const gap = Math.max(this.longestGapMs, performance.now() - this.#lastAt);
    this.longestGapMs = 0;
    this.#lastAt = performance.now();
    return gap;
  }

  async #run(): Promise<void> {
    let server = 0;
    for (let count = 0; !this.#stopped; count++) {
      const urls = this.#urls();
      const path = `/load/${this.#name}/${count}`;
      const value = `${this.#name}-${count}`;
      const written = await put(urls[server % urls.length] ?? '', path, value);
      if (!written) {
        server++;
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      this.acked.set(path, value);
      const now = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAt);
      this.#lastAt = now;
      for (const heard of this.#heard.splice(0)) heard();
    }
  }
}

async function put(url: string, path: string, value: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/v1/ns/default/keys${path}`, {
      method: 'PUT',
      body: value,
      signal: AbortSignal.timeout(1_000),
    });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

/** @returns what was acknowledged, and is not there */
export async function lost(url: string, acked: ReadonlyMap<string, string>): Promise<string[]> {
  const missing: string[] = [];
  for (const [path, value] of acked) {
    const answer = await fetch(`${url}/v1/ns/default/keys${path}`);
    const text = await answer.text();
    if (!answer.ok || text !== value) missing.push(`${path}: ${answer.status} ${text}`);
  }
  return missing;
}
