import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { WaymarkError } from 'waymark/engine';
import { startListening } from 'waymark/wire';

export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** @param address  as a listener names it */
export function urlOf(address: string, scheme: 'http' | 'https' = 'http'): string {
  return address.startsWith('unix:') ? address : `${scheme}://${address}`;
}

/** @param anywhere  not on loopback alone. @throws {WaymarkError} `invalid`, `denied` */
export function parseAddress(text: string, anywhere: boolean): Address {
  if (text.startsWith('unix:')) return { kind: 'unix', path: unixPath(text) };
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || host === '' || !(port <= 65_535)) {
    throw new WaymarkError(
      'invalid',
      `cannot listen on '${text}': take host:port, [::1]:port or unix:/path`,
    );
  }
  if (!isLoopback(host) && !anywhere) {
    throw new WaymarkError(
      'denied',
      `refusing to listen on ${text}: everyone who reaches it could read and write everything. Listen on 127.0.0.1 ` +
        'behind a proxy that checks who calls, take clients with certificates alone (--tls-only and --client-ca), or pass --insecure ' +
        'where the network itself is trusted',
    );
  }
  return { kind: 'tcp', host, port };
}

/** Names and literals that cannot be reached from another machine. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(name);
}

function unixPath(text: string): string {
  const path = text.slice('unix:'.length);
  if (path.startsWith('/') && Buffer.byteLength(path) <= 107) return path;
  throw new WaymarkError(
    'invalid',
    `'${text}': a Unix socket has an absolute path of at most 107 bytes`,
  );
}

export async function bind(server: Server, address: Address): Promise<string> {
  if (address.kind === 'unix') {
    await removeStale(address.path);
    // Nobody else may connect between bind and chmod.
    const umask = process.umask(0o177);
    try {
      await startListening(server, { path: address.path });
    } finally {
      process.umask(umask);
    }
    await chmod(address.path, 0o600);
    return `unix:${address.path}`;
  }
  const { host, port } = address;
  await startListening(server, { host, port });
  const bound = server.address();
  const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
  return `${host.includes(':') ? `[${host}]` : host}:${actual}`;
}

/** A socket file that nobody answers on was left by a process that was killed. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket())
    throw new WaymarkError('invalid', `${path} exists and is no socket`, { file: path });
  if (await answers(path)) {
    throw new WaymarkError(
      'taken',
      `another process listens on unix:${path}: stop it or take another path`,
    );
  }
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
