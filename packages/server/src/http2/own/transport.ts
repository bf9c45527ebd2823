import type { CreateTransport } from '../transport.js';
import { Connection, type ConnectionOptions } from './connection.js';
import { FieldsEncoder } from './fields-encoder.js';
import { Turn } from './turn.js';

/** HTTP/2 by Waymark's own frames (RFC 9113, RFC 7541). */
export const createOwnTransport: CreateTransport = (options) => {
  const { clock, accept, streamsMax = 1_000, fieldBytesMax = 65_536 } = options;
  const open = new Set<Connection>();
  let allGone: () => void = () => {};
  const connectionOptions: ConnectionOptions = {
    clock,
    accept,
    streamsMax,
    fieldBytesMax,
    encoder: new FieldsEncoder(),
    turn: new Turn(clock),
    refused: options.refused ?? (() => {}),
    gone(connection) {
      open.delete(connection);
      if (open.size === 0) allGone();
    },
  };
  let draining = false;
  return {
    serve(socket) {
      const connection = new Connection(socket, connectionOptions);
      open.add(connection);
      connection.start();
      if (draining) connection.drain();
    },
    get connections() {
      return open.size;
    },
    async drain(graceMs) {
      draining = true;
      if (open.size === 0) return;
      const gone = new Promise<void>((resolve) => (allGone = resolve));
      for (const connection of open) connection.drain();
      const stop = clock.after(graceMs, () => {
        for (const connection of open) connection.destroy();
      });
      await gone;
      stop();
    },
  };
};
