import type { Response } from 'undici';
import { isWaymarkError, WaymarkError } from 'waymark';
import { errorTable, joinedSignal, serverAddresses, systemClock } from 'waymark/engine';
import { type GlobalOptions, secondsMs, tokenOf } from './context.js';
import { fetchAt } from './server-http.js';

/** How long a command may take. */
export interface Deadline {
  /** Aborts with `timeout` when the time is over. */
  readonly signal: AbortSignal | undefined;
  /** Infinity without an end. */
  leftMs(): number;
}

/** @param timeout  begins now; none: no end  @param signal  ends it sooner */
export function deadlineOf(timeout: string | undefined, signal?: AbortSignal): Deadline {
  if (timeout === undefined) return { signal, leftMs: () => Infinity };
  const timeoutMs = secondsMs(timeout);
  const endsAt = systemClock.now() + timeoutMs;
  const ending = joinedSignal(signal);
  const text = 'the server did not answer within --timeout';
  systemClock.after(timeoutMs, () => ending.end(new WaymarkError('timeout', text)));
  return { signal: ending.signal, leftMs: () => Math.max(0, endsAt - systemClock.now()) };
}

interface Asked {
  readonly body?: object;
  /** Of the answer and of its body. By --timeout unless given. */
  readonly deadline?: Deadline;
}

/**
 * Asks a route of the first server that answers. One that takes the connection and is silent has its share of the time, and the next is
 * asked; but for a POST: it may have done that, and another would do it again.
 *
 * @throws {WaymarkError} what the server refuses with, `timeout`, `unavailable`; `uncertain` for a POST whose connection broke
 */
export async function askServer(
  options: GlobalOptions,
  method: string,
  path: string,
  { body, deadline = deadlineOf(options.timeout) }: Asked = {},
): Promise<Response> {
  const token = tokenOf(options);
  const addresses = serverAddresses(options.server);
  let cause: unknown;
  for (const [n, address] of addresses.entries()) {
    const share = shareOf(deadline, method === 'POST' ? 1 : addresses.length - n);
    try {
      const response = await fetchAt(address, path, {
        ...(share.signal !== undefined && { signal: share.signal }),
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      if (response.ok) return response;
      throw refusalIn(await response.text(), response.status);
    } catch (error) {
      if (isWaymarkError(error)) throw error;
      deadline.signal?.throwIfAborted();
      if (method === 'POST' && !neverSent(error)) throw unclear(address, error);
      cause = error;
    } finally {
      share.answered();
    }
  }
  const text = `no server answers at ${options.server}: start one, or name another by --server`;
  throw new WaymarkError('unavailable', text, {}, cause);
}

/** No connection came about. */
function neverSent(error: unknown): boolean {
  const { code } = (error as { readonly cause?: NodeJS.ErrnoException }).cause ?? {};
  return code !== undefined && unreachable.has(code);
}

const unreachable = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function unclear(address: string, cause: unknown): WaymarkError {
  const text = `the connection to ${address} broke before it answered: it may have done what it was asked. Look, then ask again`;
  return new WaymarkError('uncertain', text, {}, cause);
}

interface Share {
  /** Aborts with the deadline, and when the share is over before the server has answered. */
  readonly signal: AbortSignal | undefined;
  readonly answered: () => void;
}

/** What is left, divided by those that are left to ask: the last has all of it. */
function shareOf({ signal, leftMs }: Deadline, servers: number): Share {
  const shareMs = leftMs() / servers;
  if (servers === 1 || shareMs === Infinity) return { signal, answered: () => {} };
  const ending = joinedSignal(signal);
  const answered = systemClock.after(shareMs, () => ending.end(new Error('it is silent')));
  return { signal: ending.signal, answered };
}

function refusalIn(text: string, status: number): WaymarkError {
  try {
    const { code, detail } = JSON.parse(text) as { code: string; detail: string };
    if (code in errorTable) return new WaymarkError(code as keyof typeof errorTable, detail);
  } catch {
    // Not one of ours: told as it came.
  }
  return new WaymarkError('denied', `the server refuses (${status}): ${text}`);
}
