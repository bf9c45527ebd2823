import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../support/free-port.js';

/**
 * Stands before a process of one zone: what comes from another zone, and what goes back there, takes a while. Who has a connection is told by the kernel, so that all reach a process by one
 * address.
 */
export class ZoneProxy implements AsyncDisposable {
  /** Where the process is to listen. */
  readonly behind: number;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(behind: number, listener: Server) {
    this.behind = behind;
    this.#listener = listener;
  }

  /**
   * @param zones  by process id
   * @param betweenMs  there and back, where the zones are not the same
   */
  static async open(
    zone: string,
    zones: ReadonlyMap<number, string>,
    betweenMs: number,
  ): Promise<ZoneProxy> {
    const listener = createServer({ noDelay: true });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const proxy = new ZoneProxy(await freePort(), listener);
    listener.on('connection', (client) => {
      const from = zones.get(ownerOf(client.remotePort ?? 0, zones.keys()) ?? 0);
      proxy.#join(client, from === zone ? 0 : betweenMs / 2);
    });
    return proxy;
  }

  get address(): string {
    const address = this.#listener.address();
    return `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #join(client: Socket, delayMs: number): void {
    const server = connect({ host: '127.0.0.1', port: this.behind, noDelay: true });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one);
      one.on('data', (bytes) => {
        const pass = (): void => void (other.destroyed || other.write(bytes));
        // Timers of one delay fire in their order.
        if (delayMs === 0) pass();
        else setTimeout(pass, delayMs);
      });
      one.on('error', () => other.destroy());
      one.on('close', () => (this.#sockets.delete(one), other.destroy()));
    }
  }
}

/** Rows are left out of a table that changes while it is read: so often it is read again. */
const looksMax = 50;

/** Which of some processes has a connection from this port of loopback. */
function ownerOf(port: number, pids: Iterable<number>): number | null {
  for (let look = 0; look < looksMax; look++) {
    const inode = inodeOf(port);
    if (inode === undefined) continue;
    for (const pid of pids) if (socketsOf(pid).includes(`socket:[${inode}]`)) return pid;
    return null;
  }
  throw new Error(`the kernel shows no connection from port ${port}`);
}

/** One that is over may still be shown beside it, as nobody's. */
function inodeOf(port: number): string | undefined {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
  const rows = lines.map((line) => line.trim().split(/\s+/));
  return rows.find((row) => row[1] === local && row[9] !== '0')?.[9];
}

function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).map((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`);
      } catch {
        return '';
      }
    });
  } catch {
    // It has ended.
    return [];
  }
}
