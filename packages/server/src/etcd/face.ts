import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type Clock,
  type Engine,
  type Host,
  type Random,
  validateWholeNumber,
} from 'waymark/engine';
import type { Admission } from 'waymark/wire';
import type { Access } from '../access/access.js';
import { serveHttp1 } from '../http/http1-stream.js';
import type { Http2Layer } from '../http2/layers.js';
import type { ServedStream, StreamHandler } from '../http2/transport.js';
import type { MeasureMethods } from '../observe/etcd-figures.js';
import { isGatewayPath } from './gateway/paths.js';
import type { Opened } from './opened.js';

export interface EtcdFaceOptions {
  readonly engine: Engine;
  readonly host: Host;
  readonly access: Access;
  readonly clock: Clock;
  readonly random: Random;
  /** Served unless a call names another. Default `etcd`. */
  readonly namespace?: string | undefined;
  /** How often a watch that asks for progress hears of it while there are no events, in ms. Default 600 000, as etcd's. */
  readonly progressNotifyMs?: number | undefined;
  /** Where clients reach this server, as URLs, once it listens. */
  readonly urls: () => readonly string[];
  /** What each namespace may take, in bytes; default: as much as there is room for. */
  readonly quotaBytes?: number | undefined;
  /** Whether clients may have snapshots, which hold all namespaces. */
  readonly allowSnapshot: boolean;
  /** Who speaks the frames of HTTP/2. Default `own`. */
  readonly http2?: Http2Layer | undefined;
  /** Aborts when the server stops. */
  readonly stopping: AbortSignal;
  /** Bounds the work under way of all faces. */
  readonly admission?: Admission | undefined;
  /** Counts a call of the client behind a connection. @returns why it may not */
  readonly spend?: ((socket: Duplex, token?: string) => Error | null) | undefined;
  readonly refused?: ((reason: string) => void) | undefined;
  /** Host names that requests in JSON may carry; null for any. */
  readonly hosts: ReadonlySet<string> | null;
  /** Sees each method's calls and how they end. Default: nobody does. */
  readonly measure?: MeasureMethods | undefined;
  /** Answers what comes over HTTP/2 and is not etcd's. */
  readonly others: (stream: ServedStream) => StreamHandler;
}

/** etcd's API on connections that speak HTTP/2, and in JSON over HTTP/1.1 as well. */
export interface EtcdFace {
  /** Answers requests to etcd's JSON gateway. @returns whether it is one */
  answer(request: IncomingMessage, response: ServerResponse): boolean;
  /** The socket is the face's now, the preface still to be read. */
  serve(socket: Socket): void;
  readonly connections: number;
  /** The server stops. */
  drain(graceMs: number): Promise<void>;
}

/**
 * Nothing is loaded, or asked of the engine, before somebody connects: a server whose clients speak other protocols pays nothing for this one.
 *
 * @throws {WaymarkError} `invalid` for a quota that is no whole number
 */
export function createEtcdFace(options: EtcdFaceOptions): EtcdFace {
  validateWholeNumber('etcdQuotaBytes', options.quotaBytes);
  let opened: Opened | undefined;
  let opening: Promise<Opened> | undefined;
  const begin = async (): Promise<Opened> => {
    try {
      const { openFace } = await import('./opened.js');
      return (opened = await openFace(options));
    } finally {
      // Where it failed, the next connection tries again.
      opening = undefined;
    }
  };
  const whenOpen = (serve: (face: Opened) => void, refuse: () => void): void => {
    if (opened !== undefined) return serve(opened);
    opening ??= begin();
    opening.then(serve, refuse);
  };
  return {
    answer(request, response) {
      if (!isGatewayPath(request.url ?? '')) return false;
      whenOpen(
        ({ gateway }) => serveHttp1(request, response, gateway),
        () => response.destroy(),
      );
      return true;
    },
    serve(socket) {
      whenOpen(
        ({ transport }) => {
          if (!socket.destroyed) transport.serve(socket);
        },
        () => socket.destroy(),
      );
    },
    get connections() {
      return opened?.transport.connections ?? 0;
    },
    async drain(graceMs) {
      // What could not be opened leaves nothing to drain.
      const { transport, quota } = opened ?? (await opening?.catch(() => null)) ?? {};
      await transport?.drain(graceMs);
      await quota?.closed();
    },
  };
}
