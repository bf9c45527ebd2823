import { readFile } from 'node:fs/promises';
import { createSecureContext, type Server } from 'node:tls';
import { WaymarkError } from 'waymark/engine';

export const tlsVersionMin = 'TLSv1.2';

/** PEM files by their names. */
export interface TlsFileNames {
  readonly cert: string;
  readonly key: string;
  /** The authorities of those who connect. */
  readonly ca?: string | undefined;
}

interface Contents {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

/** What stands in the files that a server of TLS is made of, as it was when they last fitted together. */
export class TlsFiles {
  contents: Contents;
  readonly #names: TlsFileNames;

  private constructor(names: TlsFileNames, contents: Contents) {
    this.#names = names;
    this.contents = contents;
  }

  /** @throws {WaymarkError} `invalid` for files that cannot be read, or are no PEM */
  static async read(names: TlsFileNames): Promise<TlsFiles> {
    return new TlsFiles(names, await contentsOf(names));
  }

  /**
   * Reads the files again: handshakes from then on are by what stands in them, connections that are open go on.
   *
   * @returns whether there was anything new
   * @throws {WaymarkError} `invalid`: what was served is served still
   */
  async renew(server: Server): Promise<boolean> {
    const found = await contentsOf(this.#names);
    if (isSame(this.contents, found)) return false;
    const context = { ...found, minVersion: tlsVersionMin } as const;
    // Made apart first: what does not fit together must leave the server as it is.
    this.checked(() => createSecureContext(context));
    server.setSecureContext(context);
    this.contents = found;
    return true;
  }

  /** @throws {WaymarkError} `invalid` for files that do not belong together */
  checked<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      const { cert, key, ca } = this.#names;
      const files = [cert, key, ca].filter((file) => file !== undefined);
      const text = `${files.join(', ')}: ${(error as Error).message}`;
      throw new WaymarkError('invalid', `no TLS with ${text}`, {}, error);
    }
  }
}

async function contentsOf({ cert, key, ca }: TlsFileNames): Promise<Contents> {
  return {
    cert: await pem(cert, 'CERTIFICATE'),
    key: await pem(key, 'PRIVATE KEY'),
    ca: ca === undefined ? undefined : await pem(ca, 'CERTIFICATE'),
  };
}

function isSame(one: Contents, other: Contents): boolean {
  const same = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
    a === undefined || b === undefined ? a === b : a.equals(b);
  return same(one.cert, other.cert) && same(one.key, other.key) && same(one.ca, other.ca);
}

/** @throws {WaymarkError} `invalid` */
async function pem(file: string, what: 'CERTIFICATE' | 'PRIVATE KEY'): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new WaymarkError('invalid', `TLS: ${(error as Error).message}`, { file }, error);
  }
  if (bytes.includes(`${what}-----`)) return bytes;
  throw new WaymarkError('invalid', `TLS: ${file} has no ${what.toLowerCase()} as PEM`, { file });
}
