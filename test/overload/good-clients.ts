import { Agent, request } from 'node:http';

/** Clients that ask as they should, one request at a time each, and how long they wait. */
export class GoodClients implements Disposable {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });

  constructor(url: string) {
    this.#url = url;
  }

  /** @returns ms that of a hundred requests one waits at least, and the median */
  async ask(count: number): Promise<{ readonly p99: number; readonly median: number }> {
    const waits: number[] = [];
    const one = async (client: number): Promise<void> => {
      for (let n = 0; n < count / 4; n++) {
        const began = performance.now();
        await this.#put(`/v1/ns/good/keys/${client}`);
        waits.push(performance.now() - began);
      }
    };
    await Promise.all([0, 1, 2, 3].map(one));
    waits.sort((a, b) => a - b);
    const at = (part: number): number => waits[Math.floor(waits.length * part)] as number;
    return { p99: at(0.99), median: at(0.5) };
  }

  /** Of several rounds the best: what other processes take of the machine is not the server's. */
  async askRounds(rounds: number, count: number): Promise<{ readonly p99: number }> {
    let p99 = Infinity;
    for (let round = 0; round < rounds; round++) p99 = Math.min(p99, (await this.ask(count)).p99);
    return { p99 };
  }

  #put(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = request(this.#url + path, { method: 'PUT', agent: this.#agent }, (response) => {
        response.resume();
        if (response.statusCode === 200) response.once('end', resolve);
        else reject(new Error(`answered ${response.statusCode}`));
      });
      call.once('error', reject);
      call.end('1');
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** What a machine that does other things too adds to any figure. */
const noiseMs = 5;

/** Whether served ones wait at most twice as long as they did. */
export function atMostTwice(before: { readonly p99: number }): number {
  return 2 * Math.max(before.p99, noiseMs);
}
