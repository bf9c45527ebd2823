import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { get } from 'node:https';
import { WaymarkError } from '../core/errors.js';

/** Files (PEM) with which a member shows who it is, to clients and to the others, and the authority that all of them must be under. */
export interface TlsFiles {
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsCa?: string | undefined;
}

/** @throws {WaymarkError} `invalid` when some are missing, or cannot be read */
export function checkTls({ tlsCert, tlsKey, tlsCa }: TlsFiles): void {
  const files = [tlsCert, tlsKey, tlsCa].filter((file) => file !== undefined);
  if (files.length === 0) return;
  if (files.length < 3)
    throw new WaymarkError('invalid', 'tlsCert, tlsKey and tlsCa go together: three PEM files');
  for (const file of files) {
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      throw new WaymarkError('invalid', `cannot read ${file}`, { file }, error);
    }
  }
}

export function schemeOf({ tlsCert }: TlsFiles): 'http' | 'https' {
  return tlsCert === undefined ? 'http' : 'https';
}

/** For the engine and its client: `addresses` are `host:port`. */
export function etcdUrl(
  addresses: readonly string[],
  { tlsCert, tlsKey, tlsCa }: TlsFiles,
  { root = '', timeoutMs }: { readonly root?: string; readonly timeoutMs?: number } = {},
): string {
  const query = new URLSearchParams();
  if (timeoutMs !== undefined) query.set('timeoutMs', String(timeoutMs));
  if (tlsCert === undefined || tlsKey === undefined || tlsCa === undefined)
    return `etcd://${addresses.join(',')}/${root}?${query}`;
  for (const [name, file] of Object.entries({ ca: tlsCa, cert: tlsCert, key: tlsKey }))
    query.set(name, file);
  return `etcds://${addresses.join(',')}/${root}?${query}`;
}

/** Of an etcd: it serves nobody without a certificate of the authority, on both its ports. */
export function etcdTlsFlags({ tlsCert, tlsKey, tlsCa }: TlsFiles): string[] {
  if (tlsCert === undefined) return [];
  return ['', 'peer-'].flatMap((who) => [
    `--${who}cert-file=${tlsCert}`,
    `--${who}key-file=${tlsKey}`,
    `--${who}trusted-ca-file=${tlsCa}`,
    `--${who}client-cert-auth`,
  ]);
}

/** Whether an etcd answers its like at this URL. */
export async function speaks(url: string, tls: TlsFiles, withinMs: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(withinMs);
    if (schemeOf(tls) === 'https') await askSecurely(`${url}/version`, tls, signal);
    else await (await fetch(`${url}/version`, { signal })).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function askSecurely(url: string, files: TlsFiles, signal: AbortSignal): Promise<void> {
  const { tlsCert = '', tlsKey = '', tlsCa = '' } = files;
  const [cert, key, ca] = await Promise.all([readFile(tlsCert), readFile(tlsKey), readFile(tlsCa)]);
  await new Promise<void>((resolve, reject) => {
    const request = get(url, { cert, key, ca, signal, agent: false }, (answer) => {
      answer.resume().once('end', resolve).once('error', reject);
    });
    request.once('error', reject);
  });
}
