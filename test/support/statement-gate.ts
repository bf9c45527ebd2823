import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What becomes of the connection on which a statement was seen. */
export type Ending =
  /** Both ends are cut, and the server has not seen the statement. */
  | 'unsent'
  /** The server is given it, and both ends are cut at once. */
  | 'sent'
  /** The server has answered, and nobody hears. */
  | 'answered'
  /** Nothing passes until `resume`. */
  | 'paused';

/** A TCP proxy in front of a database that looks for a statement, and ends the connection it comes on. */
export interface StatementGate extends AsyncDisposable {
  readonly port: number;
  /** Connections that came in so far. */
  readonly opened: number;
  /** The next `times` connections that send the text end so. */
  arm(text: string, ending: Ending, times?: number): void;
  /** Settles when the statement was seen. */
  readonly seen: Promise<void>;
  resume(): void;
}

export async function statementGate(serverPort: number): Promise<StatementGate> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const paused: (() => void)[] = [];
  let armed: { readonly text: string; readonly ending: Ending; left: number } | null = null;
  let tell = (): void => {};
  let seen = Promise.resolve();
  const take = (bytes: Buffer): Ending | null => {
    if (armed === null || armed.left === 0 || !bytes.includes(armed.text)) return null;
    armed.left -= 1;
    tell();
    return armed.ending;
  };
  let opened = 0;
  const server = createServer((near) => {
    opened += 1;
    const far = connect(serverPort, '127.0.0.1');
    pairs.add([near, far]);
    let muted = false;
    const cut = (): void => [near, far].forEach((socket) => socket.destroy());
    for (const socket of [near, far]) socket.on('error', cut).on('close', cut);
    near.on('data', (bytes: Buffer) => {
      const ending = take(bytes);
      if (ending === 'unsent') return cut();
      if (ending === 'paused') {
        near.pause();
        paused.push(() => {
          far.write(bytes);
          near.resume();
        });
        return;
      }
      muted = ending === 'answered';
      far.write(bytes, () => ending === 'sent' && cut());
    });
    far.on('data', (bytes: Buffer) => (muted ? cut() : near.write(bytes)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as { readonly port: number }).port,
    get opened() {
      return opened;
    },
    arm(text, ending, times = 1) {
      armed = { text, ending, left: times };
      seen = new Promise((resolve) => (tell = resolve));
    },
    get seen() {
      return seen;
    },
    resume() {
      for (const go of paused.splice(0)) go();
    },
    async [Symbol.asyncDispose]() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
