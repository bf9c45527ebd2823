import { session } from './session.js';

/** A problem document of the server (RFC 9457), or the reason why none came. */
export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(message: string, code: string, status: number, facts: Record<string, unknown> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.facts = facts;
  }
}

export interface Call {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** JSON, or a text that is sent as it is. */
  readonly body?: string | object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** @throws {Problem} also when the server is out of reach: `unreachable` */
export async function send(path: string, call: Call = {}): Promise<Response> {
  const { method = 'GET', body, signal } = call;
  const headers = new Headers(call.headers);
  const { token } = session.state;
  if (token !== null) headers.set('authorization', `Bearer ${token}`);
  // No form and no page elsewhere can set it.
  if (method !== 'GET') headers.set('x-waymark-csrf', '1');
  if (typeof body === 'object') headers.set('content-type', 'application/json');
  const text = typeof body === 'object' ? JSON.stringify(body) : body;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      ...(text === undefined ? {} : { body: text }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new Problem('the server does not answer', 'unreachable', 0);
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401 && session.state.token === token) session.refused(problem.message);
  throw problem;
}

export async function json<T>(path: string, call: Call = {}): Promise<T> {
  return (await (await send(path, call)).json()) as T;
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const { detail, code, ...facts } = JSON.parse(text) as Record<string, unknown>;
    return new Problem(String(detail), String(code), response.status, facts);
  } catch {
    return new Problem(text.slice(0, 200) || response.statusText, 'internal', response.status);
  }
}

/** `/v1/ns/{ns}/{collection}/{path}`, each segment encoded once. */
export function nsUrl(ns: string, collection: string, path = '/', query = ''): string {
  const tail = path === '/' ? '' : path.split('/').map(encodeURIComponent).join('/');
  return `/v1/ns/${encodeURIComponent(ns)}/${collection}${tail}${query === '' ? '' : `?${query}`}`;
}
