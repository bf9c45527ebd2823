import type { ListenOptions, Server } from 'node:net';
import { WaymarkError } from '../../core/errors.js';

/** @throws {WaymarkError} `taken` when another listens there, `invalid` for what cannot be listened on */
export function startListening(
  server: Server,
  address: Pick<ListenOptions, 'host' | 'port' | 'path'>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const taken = error.code === 'EADDRINUSE';
      const advice = taken
        ? ': another process listens there; stop it or take another address'
        : '';
      reject(new WaymarkError(taken ? 'taken' : 'invalid', `${error.message}${advice}`, {}, error));
    };
    server.once('error', fail);
    server.listen(address, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
