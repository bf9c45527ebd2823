import { WaymarkError } from '../core/errors.js';
import { protocolVersion } from './frames.js';
import { malformed, type Reader } from './reader.js';
import type { Writer } from './writer.js';

/** The first message of a client: the protocol versions it speaks, and who it is. */
export interface Hello {
  readonly versionMin: number;
  readonly versionMax: number;
  readonly client: string;
  readonly token?: string | undefined;
}

/** The server's answer: the version both will speak. A refusal is an error message with id 0. */
export interface Welcome {
  readonly version: number;
  readonly server: string;
  /** The engine behind it, as in `EngineStatus`. */
  readonly engine: string;
  readonly identity: string;
  /** Whether the raw engine verbs are allowed. */
  readonly raw: boolean;
  readonly callsMax: number;
  readonly watchesMax: number;
  /** Without a message for so long, the server ends the connection: the client pings more often. */
  readonly idleMsMax: number;
  /** Whether calls may be told where in a trace they stand. */
  readonly traces?: boolean | undefined;
}

export function writeHello(w: Writer, hello: Hello): void {
  w.uint(hello.versionMin);
  w.uint(hello.versionMax);
  w.json({ client: hello.client, token: hello.token });
}

export function readHello(r: Reader): Hello {
  const versionMin = r.uint();
  const versionMax = r.uint();
  const { client, token } = record(r.json());
  return {
    versionMin,
    versionMax,
    client: typeof client === 'string' ? client : '',
    token: typeof token === 'string' ? token : undefined,
  };
}

/** @throws {WaymarkError} `invalid` when there is no common version */
export function commonVersion(hello: Hello): number {
  const version = Math.min(hello.versionMax, protocolVersion.max);
  if (version >= Math.max(hello.versionMin, protocolVersion.min)) return version;
  const theirs = `${hello.versionMin} to ${hello.versionMax}`;
  const ours = `${protocolVersion.min} to ${protocolVersion.max}`;
  throw new WaymarkError(
    'invalid',
    `the client speaks protocol ${theirs}, this server ${ours}: upgrade the older one`,
  );
}

export function writeWelcome(w: Writer, welcome: Welcome): void {
  w.json(welcome);
}

export function readWelcome(r: Reader): Welcome {
  const told = record(r.json());
  const text = (name: string): string => expect(told[name], 'string', name);
  const number = (name: string): number => expect(told[name], 'number', name);
  return {
    version: number('version'),
    server: text('server'),
    engine: text('engine'),
    identity: text('identity'),
    raw: told['raw'] === true,
    callsMax: number('callsMax'),
    watchesMax: number('watchesMax'),
    idleMsMax: number('idleMsMax'),
    traces: told['traces'] === true,
  };
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw malformed('an object is needed');
  return value as Record<string, unknown>;
}

function expect<T extends string | number>(value: unknown, type: string, name: string): T {
  if (typeof value !== type) throw malformed(`'${name}' is missing`);
  return value as T;
}
