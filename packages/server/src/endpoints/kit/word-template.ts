import { WaymarkError } from 'waymark/engine';
import type { DeliveredEvent } from '../endpoint.js';

/**
 * Names made of words with dots between them, in which events have a say: `orders.{path}` is `orders.eu.42` for `/eu/42`. Routing keys
 * and subjects are such names.
 *
 * What an event says can be words, and nothing else: a dot, what wildcards are made of, blanks and control characters become %XX of their UTF-8
 * bytes. So no path reads like another one, none reaches what the template does not name, and each word decodes as in URIs. The root, which has no
 * words, is `%2F`.
 */
export interface WordTemplate {
  readonly text: string;
  fill(event: DeliveredEvent): string;
}

const fillers: Readonly<Record<string, (event: DeliveredEvent) => string>> = {
  namespace: ({ namespace }) => word(namespace),
  path: ({ path }) => (path === '/' ? word(path) : path.slice(1).split('/').map(word).join('.')),
  kind: ({ kind }) => kind,
};

/**
 * @param part  what it is, for people: 'routing key'
 * @throws {WaymarkError} `invalid`
 */
export function readWordTemplate(part: string, text: string): WordTemplate {
  const known = Object.keys(fillers).map((name) => `{${name}}`);
  const bare = text.replace(/\{(namespace|path|kind)\}/g, '');
  if (text === '') throw new WaymarkError('invalid', `the ${part} is empty`);
  if (/[{}]/.test(bare)) {
    const told = `braces in the ${part} stand around a name that is known: ${known.join(', ')}`;
    throw new WaymarkError('invalid', told);
  }
  if (/[\s\p{C}]/u.test(bare)) {
    throw new WaymarkError('invalid', `the ${part} holds no blanks and no control characters`);
  }
  return {
    text,
    fill: (event) =>
      text.replace(/\{(\w+)\}/g, (whole, name: string) => fillers[name]?.(event) ?? whole),
  };
}

function word(text: string): string {
  return text.replace(/[%.*#>$/\s\p{C}]/gu, (char) => {
    const bytes = Buffer.from(char).toString('hex').toUpperCase();
    return bytes.replace(/../g, '%$&');
  });
}
