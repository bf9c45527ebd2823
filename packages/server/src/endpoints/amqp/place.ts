import { WaymarkError } from 'waymark/engine';
import { normalUri, readUri, type UriParts } from '../kit/uri.js';
import { readWordTemplate, type WordTemplate } from '../kit/word-template.js';

/** What an AMQP URI says. */
export interface AmqpPlace {
  readonly parts: UriParts;
  readonly normal: string;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  /** Where messages are put: one queue by its name, or an exchange that routes them. */
  readonly to:
    | { readonly queue: string; readonly declare: boolean }
    | { readonly exchange: WordTemplate; readonly key: WordTemplate };
}

/** Names of exchanges and queues, and routing keys, are short strings of the protocol. */
export const nameBytesMax = 255;
const ports = { amqp: 5672, amqps: 5671 };
const usual = 'waymark';

/** @throws {WaymarkError} `invalid`, naming the part that is wrong */
export function readAmqpUri(uri: string): AmqpPlace {
  const parts = readUri(uri, { ports, parameters: ['exchange', 'key', 'queue', 'declare'] });
  const vhost = vhostOf(parts.path);
  const to = destination(parts.parameters);
  // As brokers have it from the start; it may log in from their own machine only.
  const guest = parts.user === '' && !parts.passworded;
  const [user, password] = guest ? ['guest', 'guest'] : [parts.user, parts.password];
  // Whether a queue is declared does not make it another queue.
  const named: Record<string, string> =
    'queue' in to ? { queue: to.queue } : { exchange: to.exchange.text, key: to.key.text };
  const canonical = { ...parts, parameters: new URLSearchParams(named) };
  const normal = normalUri(canonical, { user, path: `/${encodeURIComponent(vhost)}` });
  return { parts, normal, user, password, vhost, to };
}

function vhostOf(path: string): string {
  if (path === '' || path === '/') return '/';
  if (path.indexOf('/', 1) >= 0) {
    throw refused('the path of an AMQP URI is one vhost: a slash in its name is written %2F');
  }
  try {
    return checkedName('vhost', decodeURIComponent(path.slice(1)));
  } catch (cause) {
    if (cause instanceof WaymarkError) throw cause;
    throw refused('the vhost is not well encoded: a % stands before two hexadecimal digits');
  }
}

function destination(parameters: URLSearchParams): AmqpPlace['to'] {
  for (const name of new Set(parameters.keys())) {
    if (parameters.getAll(name).length > 1) throw refused(`'${name}' stands more than once`);
  }
  const [exchange, key, queue] = ['exchange', 'key', 'queue'].map((name) => parameters.get(name));
  const declare = parameters.get('declare') ?? 'yes';
  if (declare !== 'yes' && declare !== 'no') throw refused("'declare' is yes or no");
  if (typeof exchange === 'string') {
    if (typeof queue === 'string') {
      throw refused("take 'queue' or 'exchange': queues are bound to an exchange at the broker");
    }
    if (parameters.has('declare')) throw refused("'declare' is of queues: exchanges are not made");
    return {
      exchange: readWordTemplate('exchange', exchange),
      key: readWordTemplate('routing key', key ?? usual),
    };
  }
  if (typeof key === 'string') {
    throw refused("'key' goes with 'exchange': to one queue by its name, take 'queue'");
  }
  return { queue: checkedName('queue', queue ?? usual), declare: declare === 'yes' };
}

function checkedName(part: string, name: string): string {
  if (name === '') throw refused(`the ${part} is empty`);
  if (Buffer.byteLength(name) > nameBytesMax) {
    throw refused(`the name of a ${part} takes at most ${nameBytesMax} bytes`);
  }
  if (/\p{C}/u.test(name)) throw refused(`the name of a ${part} holds no control characters`);
  return name;
}

function refused(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
