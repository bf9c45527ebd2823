import type { IncomingMessage } from 'node:http';
import type { Random } from 'waymark/engine';

/** Letters, digits and what stands between them in ids of others; nothing that could end a line of a log or a header. */
const wellFormed = /^[\w.:/+=@-]{1,128}$/;

/** The caller's `x-request-id` where it is one, else an id of our own: it is in the answer, in what is told of a failure, and in the log. */
export function requestIdOf(random: Random): (request: IncomingMessage) => string {
  return ({ headers }) => {
    const given = headers['x-request-id'];
    return typeof given === 'string' && wellFormed.test(given) ? given : random.id();
  };
}
