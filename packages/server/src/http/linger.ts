import type { IncomingMessage } from 'node:http';
import type { Clock } from 'waymark/engine';

/** Milliseconds: how long a client that goes on sending has to read why it should not. */
const lingerMs = 500;

/**
 * The answer closes the connection before the request has come whole. To close it at once would reset it, and what resets a connection throws
 * away what its client has not read yet: so this end is closed, and what still comes is read and forgotten until the client closes its own
 * (RFC 9112 §9.6).
 */
export function linger({ socket, complete }: IncomingMessage, clock: Clock): void {
  if (complete) return;
  // As Node calls it once the answer is written.
  socket.destroySoon = () => {
    socket.end();
    socket.once(
      'close',
      clock.after(lingerMs, () => socket.destroy()),
    );
  };
}
