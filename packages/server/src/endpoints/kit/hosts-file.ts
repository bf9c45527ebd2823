import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { DialedAddress } from './dialer.js';

const usual = '/etc/hosts';

/** Names that the machine itself knows, read anew when the file has changed. Where there is none it knows nothing. */
export class HostsFile {
  readonly #path: string;
  #names: ReadonlyMap<string, readonly DialedAddress[]> = new Map();
  /** When the file that was read was changed, and its size. */
  #read = '';

  constructor(path = usual) {
    this.#path = path;
  }

  /** @param name  in lower case */
  async addressesOf(name: string): Promise<readonly DialedAddress[]> {
    try {
      const { mtimeMs, size } = await stat(this.#path);
      const read = `${mtimeMs} ${size}`;
      if (read !== this.#read) this.#names = namesIn(await readFile(this.#path, 'utf8'));
      this.#read = read;
    } catch {
      this.#names = new Map();
      this.#read = '';
    }
    return this.#names.get(name) ?? [];
  }
}

/** `ADDRESS NAME…`, `#` begins a comment. */
function namesIn(text: string): Map<string, DialedAddress[]> {
  const names = new Map<string, DialedAddress[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...written] = line.replace(/#.*/, '').trim().split(/\s+/);
    const family = isIP(address);
    if (family !== 4 && family !== 6) continue;
    for (const name of written) {
      const known = names.get(name.toLowerCase()) ?? [];
      names.set(name.toLowerCase(), [...known, { address, family }]);
    }
  }
  return names;
}
