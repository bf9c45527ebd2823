import { readFileSync } from 'node:fs';
import type { Agent, RequestInit, Response } from 'undici';

/**
 * Asks one server over HTTP, at an address as `--server` has them: `http:`, `https:` with files for TLS, or `unix:`. The connection ends with the
 * answer: a command asks once, or once a second.
 */
export async function fetchAt(
  address: string,
  path: string,
  init: Omit<RequestInit, 'dispatcher'>,
): Promise<Response> {
  const { base, connect } = wayTo(address);
  // It takes longer to load than most commands to run, and a server that starts asks nobody.
  const { Agent, fetch } = await import('undici');
  const dispatcher = new Agent({ pipelining: 0, connect });
  return await fetch(new URL(path, base), { ...init, dispatcher });
}

function wayTo(address: string): {
  readonly base: string;
  readonly connect: NonNullable<Agent.Options['connect']>;
} {
  if (address.startsWith('unix:')) {
    const socketPath = address.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    return { base: 'http://localhost', connect: { socketPath } };
  }
  const { protocol, host, searchParams } = new URL(address);
  if (!/^(https|wss):$/.test(protocol)) return { base: `http://${host}`, connect: {} };
  const files = ['ca', 'cert', 'key'].flatMap((name) => {
    const file = searchParams.get(name);
    return file === null ? [] : [[name, readFileSync(file)] as const];
  });
  return { base: `https://${host}`, connect: Object.fromEntries(files) };
}
