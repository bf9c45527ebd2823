import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '@redis/client';
import { service } from '#services';
import { freePort } from './free-port.js';

export interface RedisCall {
  readonly password?: string;
  /** Files of this folder are its certificate, and it speaks TLS alone: `ca.crt`, `server.crt`, `server.key`. */
  readonly tls?: string;
}

export interface RunningRedis {
  readonly port: number;
  /** What `redis-cli` would send and print, in a database. */
  ask(words: readonly (string | Buffer)[], database?: number): Promise<unknown>;
  /** SIGKILL, and an empty one at the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A Redis on loopback that keeps nothing. */
export async function startRedis({ password, tls }: RedisCall = {}): Promise<RunningRedis> {
  const { path } = service('redis');
  const folder = await mkdtemp(join(tmpdir(), 'waymark-redis-'));
  const port = await freePort();
  const args = [
    ...(tls === undefined ? ['--port', `${port}`] : ['--port', '0', '--tls-port', `${port}`]),
    ...(tls === undefined ? [] : tlsArguments(tls)),
    ...['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    ...(password === undefined ? [] : ['--requirepass', password]),
  ];
  let child = await begin(path, args);
  return {
    port,
    ask: async (words, database = 0) => {
      const given = password === undefined ? {} : { password };
      const socket = { host: '127.0.0.1', port, reconnectStrategy: false as const };
      const client = createClient({ socket, database, RESP: 2, ...given });
      client.on('error', () => undefined);
      await client.connect();
      try {
        return await client.sendCommand(words, {
          typeMapping: { 36: Buffer },
        });
      } finally {
        client.destroy();
      }
    },
    restart: async () => {
      await end(child);
      child = await begin(path, args);
    },
    stop: async () => {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function tlsArguments(folder: string): string[] {
  const file = (name: string): string => join(folder, name);
  return [
    ...['--tls-cert-file', file('server.crt'), '--tls-key-file', file('server.key')],
    ...['--tls-ca-cert-file', file('ca.crt'), '--tls-auth-clients', 'no'],
  ];
}

async function begin(path: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (!/Ready to accept connections/.test(line)) continue;
    child.stdout.resume();
    return child;
  }
  throw new Error(`Redis did not start: ${said.slice(-3).join('; ')}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
