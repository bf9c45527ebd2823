import { connect, type Socket } from 'node:net';
import { isWaymarkError, open } from 'waymark';
import { KV } from 'waymark/etcd';
import { EtcdApi } from '../etcd/client.js';

/** What the answers of a while came to. */
export interface Answered {
  readonly perSecond: number;
  readonly refused: number;
  /** Of those that were served, ms. */
  readonly median: number;
}

/** Writes once. @returns whether it was served; false: it was refused as too much */
export type Ask = (caller: number, n: number) => Promise<boolean>;

export interface Face extends AsyncDisposable {
  readonly ask: Ask;
}

/** Callers that each ask again as soon as they were answered, whatever the answer was. */
export async function call(ask: Ask, callers: number, forMs: number): Promise<Answered> {
  const began = performance.now();
  const waits: number[] = [];
  let refused = 0;
  const caller = async (name: number): Promise<void> => {
    for (let n = 0; performance.now() - began < forMs; n++) {
      const asked = performance.now();
      if (await ask(name, n)) waits.push(performance.now() - asked);
      else refused++;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, name) => caller(name)));
  const perSecond = (waits.length * 1_000) / (performance.now() - began);
  waits.sort((a, b) => a - b);
  return { perSecond, refused, median: waits[waits.length >> 1] as number };
}

/**
 * Each caller on a connection of its own, with as little work on this side as can be: a client that is slower than the server would be what is
 * measured, and five times the callers no more load than one.
 */
export async function restFace(url: string): Promise<Face> {
  const { hostname, port } = new URL(url);
  const callers = new Map<number, RestCaller>();
  return {
    ask: (name, n) => {
      let caller = callers.get(name);
      if (caller === undefined)
        callers.set(name, (caller = new RestCaller(connect(Number(port), hostname), name)));
      return caller.put(String(n));
    },
    [Symbol.asyncDispose]: async () => {
      for (const caller of callers.values()) caller.end();
    },
  };
}

class RestCaller {
  readonly #socket: Socket;
  readonly #head: string;
  #answer = '';
  #asked: { resolve: (served: boolean) => void; reject: (error: Error) => void } | null = null;

  constructor(socket: Socket, name: number) {
    this.#socket = socket;
    this.#head = `PUT /v1/ns/etcd/keys/rest/${name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: `;
    socket.setNoDelay().setEncoding('latin1');
    socket.on('data', (text: string) => this.#hear(text));
    socket.once('close', () => this.#asked?.reject(new Error('the connection was closed')));
    socket.on('error', (error) => this.#asked?.reject(error));
  }

  put(value: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#asked = { resolve, reject };
      this.#socket.write(`${this.#head}${value.length}\r\n\r\n${value}`);
    });
  }

  end(): void {
    this.#asked = null;
    this.#socket.destroy();
  }

  #hear(text: string): void {
    this.#answer += text;
    const head = this.#answer.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#answer)?.[1];
    if (this.#answer.length < head + 4 + Number(length ?? Infinity)) return;
    const answer = this.#answer;
    const asked = this.#asked;
    this.#answer = '';
    if (answer.startsWith('HTTP/1.1 200 ')) asked?.resolve(true);
    else if (answer.startsWith('HTTP/1.1 503 ') && /\r\nretry-after: 1\r\n/i.test(answer))
      asked?.resolve(false);
    else asked?.reject(new Error(`answered ${answer}`));
  }
}

const clients = 8;

/** The binary protocol: the callers share a few connections. */
export async function binaryFace(url: string): Promise<Face> {
  const spaces = await Promise.all(Array.from({ length: clients }, () => open(url)));
  const all = spaces.map((space) => space.namespace('etcd'));
  return {
    ask: async (caller, n) => {
      try {
        await all[caller % clients]?.put(`/binary/${caller}`, n);
        return true;
      } catch (error) {
        if (isWaymarkError(error, 'overloaded')) return false;
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const space of spaces) await space.close();
    },
  };
}

/** etcd's API, the same way. */
export async function grpcFace(url: string): Promise<Face> {
  const all = Array.from({ length: clients }, () => new EtcdApi(new URL(url).host));
  return {
    ask: async (caller, n) => {
      const put = { key: Buffer.from(`grpc ${caller}`), value: Buffer.from(String(n)) };
      try {
        await all[caller % clients]?.call(KV.method.put, put);
        return true;
      } catch (error) {
        if ((error as { code?: number }).code === 8) return false;
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of all) client[Symbol.dispose]();
    },
  };
}
