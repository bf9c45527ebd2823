import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

export interface RogueMysql extends AsyncDisposable {
  readonly port: number;
  /** All that clients said after they had been asked for the file. */
  readonly heard: Buffer;
  /** Settles when a client was asked, and has hung up. */
  readonly over: Promise<void>;
}

/** Lets everybody in, and answers the first statement by asking for a file of the client's: LOCAL INFILE of the protocol. */
export async function startRogueMysql(file: string): Promise<RogueMysql> {
  let heard = Buffer.alloc(0);
  let hungUp = (): void => {};
  const over = new Promise<void>((resolve) => (hungUp = resolve));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let said = 0;
    socket.write(packet(0, greeting()));
    socket.on('data', (bytes) => {
      said += 1;
      // Its login, its statement, and what it should not say.
      if (said === 1) socket.write(packet(2, okay));
      else if (said === 2) socket.write(packet(1, Buffer.from(`\xfb${file}`, 'latin1')));
      else {
        heard = Buffer.concat([heard, bytes]);
        socket.write(packet(3, okay));
      }
    });
    socket.on('close', () => {
      if (said >= 2) hungUp();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as { readonly port: number }).port,
    over,
    get heard() {
      return heard;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

const okay = Buffer.from([0, 0, 0, 2, 0, 0, 0]);

function packet(sequence: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = sequence;
  return Buffer.concat([header, payload]);
}

/** Protocol 10 of MySQL, with all that a server can do. */
function greeting(): Buffer {
  const nonce = '12345678';
  const able = Buffer.from([0xff, 0xf7, 0x2d, 0x02, 0x00, 0x7f, 0x81, 21]);
  return Buffer.concat([
    Buffer.from('\x0a8.0.0\0\x01\0\0\0', 'latin1'),
    Buffer.from(`${nonce}\0`),
    able,
    Buffer.alloc(10),
    Buffer.from(`${nonce}abcd\0mysql_native_password\0`),
  ]);
}
