import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DialedAddress, Dialer } from '../endpoints/kit/dialer.js';
import { createDialer } from '../endpoints/kit/guarded-dialer.js';
import { vectors } from './ssrf-vectors.js';

/** One way to another machine: a call of the dialer, or a kind of endpoint that delivers to host and port. */
export interface Way {
  readonly name: string;
  /** Rejects when it got nowhere; with 'names no host' where nothing can be asked so. */
  reach(dialer: Dialer, to: { readonly host: string; readonly port: number }): Promise<unknown>;
  /** Whether it connects, or looks up alone. Default true. */
  readonly connects?: boolean;
}

const refusal = /--allow-endpoint-net CIDR|names no host/;

export function addressesOf(list: readonly string[]): readonly DialedAddress[] {
  return list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
}

/** Knows the names of the vectors, and that all else is on this machine. */
export function lookupVector(name: string): Promise<readonly DialedAddress[]> {
  const known = vectors.find(({ host }) => urlHost(host) === urlHost(name));
  return Promise.resolve(addressesOf(known?.answers ?? ['127.0.0.1']));
}

function urlHost(host: string): string {
  const url = `http://${host}/`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/\.$/, '') : '';
}

/**
 * What is not public cannot be reached, by whichever way (G26): a listener on all addresses of the machine counts who comes. The same listener is reached
 * where its network is allowed, so it would have counted.
 */
export function ssrfSuite(way: Way): void {
  describe(way.name, () => {
    const listener = countedListener();
    const connects = way.connects !== false;

    test('[G26] what is not public is not reached, however it is written', async () => {
      const dialer = createDialer({ allow: [], lookup: lookupVector });
      const outcomes = await Promise.all(
        vectors.map(async ({ host }) => ({ host, outcome: await outcomeOf(way, dialer, host) })),
      );
      expect(outcomes.filter(({ outcome }) => !refusal.test(outcome))).toEqual([]);
      expect(listener.reached).toEqual([]);
    });

    test('[G26] what is allowed is reached, and nothing beside it', async () => {
      const dialer = createDialer({ allow: ['127.0.0.0/8', '::1/128'], lookup: lookupVector });
      const hosts = ['127.0.0.1', 'localhost', '2130706433', '[::ffff:127.0.0.1]', '[::1]'];
      for (const host of hosts) {
        expect(await outcomeOf(way, dialer, host)).not.toMatch(refusal);
      }
      expect(listener.reached.length).toBe(connects ? hosts.length : 0);
      for (const host of ['10.0.0.1', '[::]', '[fe80::1]', 'metadata.example']) {
        expect(await outcomeOf(way, dialer, host)).toMatch(refusal);
      }
    });

    test('[G26] a name is looked up for every try, and what was checked is what is connected to', async () => {
      let asked = 0;
      const dialer = createDialer({
        allow: ['127.0.0.2/32'],
        lookup: () => {
          asked += 1;
          return Promise.resolve(addressesOf([asked % 2 === 1 ? '127.0.0.2' : '127.0.0.1']));
        },
      });
      for (let tries = 1; tries <= 10; tries++) {
        const outcome = await outcomeOf(way, dialer, 'rebinding.example');
        expect(refusal.test(outcome)).toBe(tries % 2 === 0);
        expect(asked).toBe(tries);
      }
      expect(listener.reached.map((address) => address.replace('::ffff:', ''))).toEqual(
        Array.from({ length: connects ? 5 : 0 }, () => '127.0.0.2'),
      );
    });

    async function outcomeOf({ reach }: Way, dialer: Dialer, host: string): Promise<string> {
      return reach(dialer, { host, port: listener.port }).then(() => 'reached', reasonOf);
    }
  });
}

/** Says goodbye in HTTP to whoever comes. */
function countedListener(): { readonly port: number; readonly reached: readonly string[] } {
  let server: Server;
  const state = { port: 0, reached: [] as string[] };
  beforeAll(async () => {
    server = createServer((socket: Socket) => {
      state.reached.push(socket.localAddress ?? '');
      socket.on('error', () => undefined).resume();
      socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    state.port = (server.address() as { port: number }).port;
  });
  beforeEach(() => void (state.reached = []));
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  return state;
}

/** Messages of an error and all that caused it. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause === undefined ? message : `${message}: ${reasonOf(cause)}`;
}
