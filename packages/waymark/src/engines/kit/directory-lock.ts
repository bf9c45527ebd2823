import { statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { WaymarkError } from '../../core/errors.js';

/**
 * One process at a time has a data directory. The lock is a listening socket: the kernel takes it away with its process,
 * however that ends, so there is no stale lock to judge, as there is with a file that names a pid (which may be another
 * process's by then). On Linux it lives in the abstract namespace under the directory's device and inode, so that
 * taking it is one atomic call, whatever the path is called; elsewhere in the directory. Who connects is told the holder.
 *
 * Its reach is the machine, or the container where that has a network of its own: two containers that share a volume
 * are kept apart by whoever gives them the volume.
 */
export async function lockDirectory(
  directory: string,
  advice = 'to share it, run `waymark serve` there and open its address',
): Promise<AsyncDisposable> {
  const { dev, ino } = statSync(directory, { bigint: true });
  const address =
    process.platform === 'linux' ? `\0waymark-${dev}-${ino}` : join(directory, 'lock.sock');
  const server = createServer((socket) =>
    socket.on('error', () => undefined).end(`process ${process.pid} on ${hostname()}`),
  );
  if (!(await listening(server, address))) {
    const holder = await holderOf(address);
    throw new WaymarkError('taken', `${directory} is in use by ${holder}: ${advice}`, {
      holder,
      file: directory,
    });
  }
  server.unref();
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function listening(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    // Exclusive: the workers of a cluster would share one socket else, and each would believe to have it alone.
    server.listen({ path, exclusive: true }, () => resolve(true));
  });
}

function holderOf(address: string): Promise<string> {
  return new Promise((resolve) => {
    let told = '';
    const socket = connect(address);
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (data) => (told += data.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(told === '' ? 'another process' : told));
  });
}
