import { readFileSync } from 'node:fs';
import { Agent, fetch, type Response } from 'undici';
import { WaymarkError } from 'waymark';
import { serverAddresses } from 'waymark/engine';
import type { ServerStatus } from '../observe/server-status.js';
import type { GlobalOptions } from './context.js';

/** Asks the first server that answers, over HTTP. @throws {WaymarkError} `unavailable` when none does */
export async function fetchFrom(
  { server }: Pick<GlobalOptions, 'server'>,
  path: string,
  signal?: AbortSignal,
): Promise<Response> {
  let cause: unknown;
  for (const address of serverAddresses(server)) {
    const { base, dispatcher } = wayTo(address);
    try {
      return await fetch(new URL(path, base), {
        dispatcher,
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      cause = error;
    }
  }
  const text = `no server answers at ${server}: start one, or name another by --server`;
  throw new WaymarkError('unavailable', text, {}, cause);
}

/** @throws {WaymarkError} `unavailable`, or what the server refuses it with */
export async function fetchStatus(
  options: Pick<GlobalOptions, 'server'>,
  signal?: AbortSignal,
): Promise<ServerStatus> {
  const response = await fetchFrom(options, '/v1/status', signal);
  const told = (await response.json()) as ServerStatus & { readonly detail?: string };
  if (response.ok) return told;
  const text = told.detail ?? `the server answers ${response.status}`;
  throw new WaymarkError(response.status === 401 ? 'unauthenticated' : 'denied', text);
}

/** A connection of its own, which ends with the answer: a command asks once, or once a second. */
function wayTo(address: string): { readonly base: string; readonly dispatcher: Agent } {
  const pipelining = 0;
  if (address.startsWith('unix:')) {
    const socketPath = address.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    return {
      base: 'http://localhost',
      dispatcher: new Agent({ pipelining, connect: { socketPath } }),
    };
  }
  const { protocol, host, searchParams } = new URL(address);
  const secure = /^(https|wss):$/.test(protocol);
  const connect = secure ? filesOf(searchParams) : {};
  return {
    base: `${secure ? 'https' : 'http'}://${host}`,
    dispatcher: new Agent({ pipelining, connect }),
  };
}

function filesOf(named: URLSearchParams): Record<string, Buffer> {
  const files = ['ca', 'cert', 'key'].flatMap((name) => {
    const file = named.get(name);
    return file === null ? [] : [[name, readFileSync(file)] as const];
  });
  return Object.fromEntries(files);
}
