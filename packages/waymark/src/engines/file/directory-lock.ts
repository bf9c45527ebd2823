import { statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { WaymarkError } from '../../core/errors.js';

/**
 * One process at a time has a data directory. The lock is a listening socket: the kernel takes it away with its process, however that
 * ends, so there is no stale lock to judge, as with a file that names a pid. On Linux it lives in the abstract
 * namespace under the directory's device and inode; elsewhere in the directory. Who connects is told the holder's pid.
 */
export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const { dev, ino } = statSync(directory);
  const address = process.platform === 'linux' ? `\0waymark-${dev}-${ino}` : join(directory, 'lock.sock');
  const server = createServer((socket) => socket.on('error', () => undefined).end(String(process.pid)));
  if (!(await listening(server, address))) {
    const holder = await holderOf(address);
    throw new WaymarkError(
      'taken',
      `${directory} is in use by process ${holder}: to share it, run \`waymark serve\` there and open its address`,
      { holder, file: directory },
    );
  }
  server.unref();
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function listening(server: Server, address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(address, () => resolve(true));
  });
}

function holderOf(address: string): Promise<string> {
  return new Promise((resolve) => {
    let pid = '';
    const socket = connect(address);
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (data) => (pid += data.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(pid === '' ? 'unknown' : pid));
  });
}
