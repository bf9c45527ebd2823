import { isWaymarkError, type Random } from 'waymark/engine';
import { createSealer, sealedBy, type Sealer } from './sealing.js';
import { readSealingKeys } from './sealing-keys.js';
import { generateSecretsFile } from './sealing-keys-file.js';

export interface SealingOptions {
  /** The URL it is opened by, or one that was given open. */
  readonly engine: unknown;
  readonly keyFile: string | undefined;
  readonly random: Random;
  readonly told: (message: string) => void;
}

/**
 * What encrypts the secrets of endpoints. Unless a key is given, by its file or as WAYMARK_SECRETS_KEY: for `file:DIR` the one in `DIR.key`, which is made where it is missing; in memory one that goes with the
 * process. Engines that several servers share need one that they share too.
 *
 * @returns null where there is none: then only endpoints without secrets are taken
 * @throws {WaymarkError} `invalid` for keys that are none, or that others may read
 */
export async function sealerFor(options: SealingOptions): Promise<Sealer | null> {
  const { keyFile: file, engine: url, random } = options;
  const text = process.env['WAYMARK_SECRETS_KEY'];
  if (file !== undefined) return new FileSealer(file, random);
  const keys = readSealingKeys({ text });
  if (keys.length > 0) return createSealer({ keys, random });
  if (typeof url !== 'string') return null;
  if (/^memory:?$/.test(url)) return createSealer({ keys: [ownKey(random)], random });
  return url.startsWith('file:') ? await sealerBeside(url, options) : null;
}

async function sealerBeside(url: string, { random, told }: SealingOptions): Promise<Sealer | null> {
  const directory = url
    .slice('file:'.length)
    .replace(/^\/\/(?=\/)/, '')
    .replace(/\/+$/, '');
  const file = `${directory}.key`;
  try {
    await generateSecretsFile(file, random);
    told(`made ${file}: it encrypts the secrets of endpoints, so keep it, and not with the data`);
  } catch (error) {
    if (!isWaymarkError(error, 'conflict')) {
      told(`no key to encrypt the secrets of endpoints with: ${(error as Error).message}`);
      return null;
    }
  }
  return new FileSealer(file, random);
}

function ownKey(random: Random): { readonly id: string; readonly key: Uint8Array } {
  const key = Buffer.from(`${random.id()}${random.id()}`, 'base64url').subarray(0, 32);
  return { id: 'process', key };
}

/** Keys change while servers run: what a key sealed that it does not know has it read its file again. */
class FileSealer implements Sealer {
  readonly #file: string;
  readonly #random: Random;
  #sealer!: Sealer;

  /** @throws {WaymarkError} `invalid` */
  constructor(file: string, random: Random) {
    this.#file = file;
    this.#random = random;
    this.refresh();
  }

  get ids(): readonly string[] {
    return this.#sealer.ids;
  }

  refresh(): void {
    const keys = readSealingKeys({ file: this.#file });
    this.#sealer = createSealer({ keys, random: this.#random });
  }

  seal(text: string, context: string): string {
    return this.#sealer.seal(text, context);
  }

  open(sealed: string, context: string): string {
    return this.#knowing(sealed).open(sealed, context);
  }

  reseal(sealed: string, context: string): string | null {
    return this.#knowing(sealed).reseal(sealed, context);
  }

  #knowing(sealed: string): Sealer {
    if (!this.ids.includes(sealedBy(sealed))) this.refresh();
    return this.#sealer;
  }
}
