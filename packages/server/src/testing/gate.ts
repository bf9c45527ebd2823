import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy on loopback in front of a real server, for what networks do to connections. */
export interface Gate extends AsyncDisposable {
  readonly port: number;
  /** Connections that came in so far. */
  readonly opened: number;
  /** Connections that stand. */
  readonly open: number;
  /** Breaks all connections, and every new one at once, until `mend`. */
  interrupt(): Promise<void>;
  /** Lets nothing through and closes nothing, until `mend`. */
  hold(): Promise<void>;
  mend(): Promise<void>;
}

export async function startGate(to: {
  readonly port: number;
  readonly host?: string | undefined;
}): Promise<Gate> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let state: 'open' | 'held' | 'broken' = 'open';
  let opened = 0;
  const server = createServer((near) => {
    opened += 1;
    if (state === 'broken') return void near.resetAndDestroy();
    const far = connect(to.port, to.host ?? '127.0.0.1');
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, into] of [pair, [far, near] as const]) {
      from.on('error', () => into.destroy());
      from.on('close', () => {
        pairs.delete(pair);
        into.destroy();
      });
      from.on('end', () => into.end());
      from.on('data', (bytes: Buffer) => {
        if (!into.write(bytes)) from.pause();
      });
      into.on('drain', () => state !== 'held' && from.resume());
    }
    if (state === 'held') for (const socket of pair) socket.pause();
  });
  const breakAll = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as { readonly port: number }).port,
    get opened() {
      return opened;
    },
    get open() {
      return pairs.size;
    },
    interrupt: async () => {
      state = 'broken';
      breakAll();
    },
    hold: async () => {
      state = 'held';
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    mend: async () => {
      state = 'open';
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    [Symbol.asyncDispose]: async () => {
      breakAll();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
