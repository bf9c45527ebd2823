import { rmSync } from 'node:fs';
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import { join, resolve } from 'node:path';
import { errorTable } from '../core/error-table.js';
import { errorCodes, isWaymarkError, WaymarkError } from '../core/errors.js';
import { type ClusterTarget, isLoopback } from './cluster-url.js';

import { joinPath, type JoinGrant, type JoinRequest } from './join.js';
import type { LeaveRequest } from './leave.js';
import type { ClusterStatus } from './member.js';
import { readMemberFile } from './member-file.js';

/**
 * How a running member is told what to do. `waymark cluster` speaks HTTP to DIR/control.sock, which only who may read the directory can
 * open; no port takes these calls. Joining alone is for others: it has a route of the server, or a listener of the process's own.
 */
export interface ControlCalls {
  status(): Promise<ClusterStatus>;
  token(ttlMs: number): Promise<string>;
  /** @returns who left */
  leave(request: LeaveRequest): Promise<string>;
  recover(yes: boolean): Promise<string>;
  join(request: JoinRequest): Promise<JoinGrant>;
}

export interface Control {
  close(): Promise<void>;
}

type Route = (body: Record<string, unknown>) => Promise<unknown>;

const socketName = 'control.sock';
const pathBytesMax = 107;
const bodyBytesMax = 64 * 1_024;
const requestMs = 10_000;
const answerMs = 120_000;

/** @throws {WaymarkError} `invalid` for a path or address, `taken`, `denied` beyond loopback */
export async function startControl(target: ClusterTarget, calls: ControlCalls): Promise<Control> {
  const path = socketPath(target.directory);
  rmSync(path, { force: true });
  const routes: Record<string, Route> = {
    '/status': () => calls.status(),
    '/token': async ({ ttlMs }) => ({ token: await calls.token(Number(ttlMs)) }),
    '/leave': async ({ member, force }) => {
      const asked = typeof member === 'string' ? member : undefined;
      return { left: await calls.leave({ member: asked, force: force === true }) };
    },
    '/recover': async ({ yes }) => ({ recovered: await calls.recover(yes === true) }),
  };
  const open = [await listen(routes, { path, mode: 0o600 })];
  try {
    if (target.listen !== null) {
      const join: Route = (body) => calls.join(joinRequest(body));
      open.push(await listen({ [joinPath]: join }, listenAddress(target)));
    }
  } catch (error) {
    for (const server of open) server.close();
    throw error;
  }
  return {
    async close() {
      for (const server of open) server.closeAllConnections();
      await Promise.all(open.map((server) => new Promise((done) => server.close(done))));
    },
  };
}

/**
 * Asks the member that runs in a directory.
 *
 * @throws {WaymarkError} `unavailable` when none runs there, `invalid` when the directory is no member's; what it answers
 */
export async function askMember(
  directory: string,
  verb: 'status' | 'token' | 'leave' | 'recover',
  body: object = {},
): Promise<Record<string, unknown>> {
  const path = socketPath(resolve(directory));
  const { status, text } = await send(path, `/${verb}`, JSON.stringify(body)).catch(
    (cause: unknown) => {
      throw notRunning(directory, cause);
    },
  );
  const answer = JSON.parse(text) as Record<string, unknown>;
  if (status === 200) return answer;
  const code = errorCodes.find((known) => known === answer['code']) ?? 'internal';
  throw new WaymarkError(code, String(answer['detail']));
}

/** @throws {WaymarkError} `invalid` */
export function joinRequest(body: Record<string, unknown>): JoinRequest {
  const { token, name, peerUrl } = body;
  if (typeof token === 'string' && typeof name === 'string' && typeof peerUrl === 'string')
    return { token, name, peerUrl };
  throw new WaymarkError('invalid', 'to join needs token, name and peerUrl');
}

function notRunning(directory: string, cause: unknown): WaymarkError {
  const member = readMemberFile(resolve(directory));
  const text =
    member === null
      ? `${directory} is no member of a cluster: \`waymark cluster init\` or \`join\` makes it one`
      : `member ${member.name} does not run: start it with \`waymark serve --cluster ${directory}\``;
  return new WaymarkError(member === null ? 'invalid' : 'unavailable', text, {}, cause);
}

/** @throws {WaymarkError} `invalid` when the directory's path is too long */
export function socketPath(directory: string): string {
  const path = join(directory, socketName);
  if (Buffer.byteLength(path) <= pathBytesMax) return path;
  const text = `${path} has more than ${pathBytesMax} bytes, which no socket can: take a shorter directory`;
  throw new WaymarkError('invalid', text);
}

function listenAddress({ listen: text, insecure }: ClusterTarget): { host: string; port: number } {
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text ?? '') ?? [];
  const host = v6 ?? name;
  if (host === undefined || !(Number(port) <= 65_535))
    throw new WaymarkError('invalid', `listen is host:port, not '${text}'`);
  if (insecure || isLoopback(host)) return { host, port: Number(port) };
  throw new WaymarkError('denied', `listening on ${text} is open to other machines: pass insecure`);
}

function listen(
  routes: Readonly<Record<string, Route>>,
  address: { path: string; mode: number } | { host: string; port: number },
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ requestTimeout: requestMs }, (incoming, response) => {
      void serve(routes, incoming, response);
    });
    server.once('error', (error) => {
      const text = `cannot listen on ${'path' in address ? address.path : address.port}: ${error.message}`;
      reject(new WaymarkError('taken', text, {}, error));
    });
    // Nobody else may connect between bind and chmod.
    const umask = 'path' in address ? process.umask(0o777 & ~address.mode) : null;
    server.listen(address, () => resolve(server));
    if (umask !== null) process.umask(umask);
  });
}

async function serve(
  routes: Readonly<Record<string, Route>>,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const tell = (status: number, body: unknown): void => {
    const text = JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(text);
  };
  try {
    const route = routes[incoming.url ?? ''];
    if (route === undefined || incoming.method !== 'POST')
      throw new WaymarkError('not_found', `no route ${incoming.method} ${incoming.url}`);
    tell(200, await route(await readBody(incoming)));
  } catch (error) {
    const known = isWaymarkError(error) ? error : new WaymarkError('internal', String(error));
    tell(errorTable[known.code].http, { code: known.code, detail: known.message });
  }
}

async function readBody(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of incoming) {
    text += String(chunk);
    if (text.length > bodyBytesMax) throw new WaymarkError('too_large', 'the request is too large');
  }
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) return body as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new WaymarkError('invalid', 'the request is no JSON object');
}

function send(
  socketPath: string,
  path: string,
  body: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const asking = request(
      { socketPath, path, method: 'POST', headers, timeout: answerMs },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 500, text }));
        answer.on('error', reject);
      },
    );
    asking.on('timeout', () => asking.destroy(new Error('the member does not answer')));
    asking.on('error', reject);
    asking.end(body);
  });
}
