import { readFileSync } from 'node:fs';
import {
  codecs,
  isWaymarkError,
  type Namespace,
  open,
  type OpenOptions,
  type Space,
  WaymarkError,
} from 'waymark';
import { errorTable, systemClock } from 'waymark/engine';
import { errColors } from './colors.js';

/** Options that every command takes. */
export interface GlobalOptions {
  readonly server: string;
  readonly namespace: string;
  readonly json: boolean;
  readonly timeout?: string;
  readonly accessToken?: string;
  readonly accessTokenFile?: string;
}

const connectTimeoutMs = 3_000;
const closeMsMax = 2_000;

/** Runs one command against the server and closes the connection; values are text. */
export async function withNamespace<T>(
  options: GlobalOptions,
  work: (ns: Namespace<string>, space: Space, signal: AbortSignal | undefined) => Promise<T>,
  { stash }: Pick<OpenOptions, 'stash'> = {},
): Promise<T> {
  const signal =
    options.timeout === undefined ? undefined : AbortSignal.timeout(secondsMs(options.timeout));
  const token = tokenOf(options);
  const space = await open(options.server, { signal, connectTimeoutMs, stash, token });
  try {
    return await work(space.namespace(options.namespace, { codec: codecs.text }), space, signal);
  } finally {
    // A server that is gone gets no goodbye: its leases end by themselves.
    await Promise.race([space.close(), after(closeMsMax)]);
  }
}

/** From the option, its file or the environment, in this order. @throws {WaymarkError} `invalid` for a file that cannot be read */
export function tokenOf({
  accessToken: token,
  accessTokenFile: tokenFile,
}: GlobalOptions): string | undefined {
  if (token !== undefined) return token;
  // WAYMARK_TOKEN is what commands under a hold find their fencing token in.
  const { WAYMARK_ACCESS_TOKEN: named, WAYMARK_ACCESS_TOKEN_FILE: other } = process.env;
  const file = tokenFile ?? (named === undefined ? other : undefined);
  if (file === undefined) return named;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const text = `no token in ${file}: ${(error as Error).message}`;
    throw new WaymarkError('invalid', text, {}, error);
  }
}

export function after(ms: number): Promise<void> {
  return new Promise((resolve) => void systemClock.after(ms, resolve));
}

/** One JSON document with --json, else the text. */
export function print(options: GlobalOptions, document: unknown, text: string): void {
  if (options.json) process.stdout.write(`${JSON.stringify(document)}\n`);
  else if (text !== '') process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Tells what went wrong and what to do, on standard error. @returns the exit code */
export function fail(error: unknown, json: boolean): number {
  const known = isWaymarkError(error) ? error : fromAbort(error);
  if (json) process.stderr.write(`${JSON.stringify({ error: known.toJSON() })}\n`);
  else process.stderr.write(`${errColors.red('waymark:')} ${known.message} (${known.code})\n`);
  return errorTable[known.code].exit;
}

/** `10s`, `500ms`, `2m`, or seconds. */
export function secondsMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null)
    throw new WaymarkError('invalid', `'${text}' is no duration: take 10s, 500ms, 2m or 1h`);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[
    (match[2] ?? 's') as 'ms' | 's' | 'm' | 'h'
  ];
  return Math.round(Number(match[1]) * unit);
}

export async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** @throws {WaymarkError} `invalid` */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new WaymarkError('invalid', `${what} is not JSON`, {}, cause);
  }
}

/** Aborts when this process is told to end. */
export function interruption(): AbortSignal {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort(new Error('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  return interrupted.signal;
}

export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

/** For an option that may be given more than once. */
export function oneMore(given: string, before: readonly string[] = []): readonly string[] {
  return [...before, given];
}

function fromAbort(error: unknown): WaymarkError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new WaymarkError('timeout', 'the server did not answer within --timeout', {}, error);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new WaymarkError('internal', message, {}, error);
}
