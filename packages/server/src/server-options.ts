import type { OpenOptions } from 'waymark';
import type { Cluster } from 'waymark/cluster';
import { type Clock, type Engine, type Random, validateWholeNumber } from 'waymark/engine';
import { type ClaimLimits, defaultSocketLimits } from 'waymark/wire';
import type { EtcdFaceOptions } from './etcd/face.js';
import type { AppParts } from './http/app.js';
import type { Http2Layer } from './http2/layers.js';
import { urlOf } from './listen-address.js';
import type { ServerStashOptions } from './stash/of-server.js';
import type { RateOptions } from './rates.js';
import type { TlsOptions } from './tls.js';
import type { WatchersOptions } from './watchers/of-server.js';

export interface ServerOptions {
  /** `host:port` (port 0: a free one), `[ipv6]:port`, `unix:/path`. Default 127.0.0.1:7420. */
  readonly listen?: readonly string[] | undefined;
  /** Where other servers reach this one, as a URL. Default: the first address it listens on. */
  readonly advertise?: string | undefined;
  /** `memory`, `file:DIR` or `etcd://…`, or an engine of the caller's, which stays open. Default `file:./waymark-data`. */
  readonly engine?: string | Engine | undefined;
  /** The member whose engine it is: others join by this server. */
  readonly cluster?: Cluster | undefined;
  /** How much history the engine keeps at least: `{ revisions, bytes }`, 10 000 and 64 MiB unless told. */
  readonly history?: OpenOptions['history'];
  /** Keep what is there in memory too, for stale reads and watches: see `mirror` of waymark/engine. Default false. */
  readonly mirror?: OpenOptions['mirror'];
  /** Switches access on at the start, where it is off, and tells one token of root; then it may listen beyond loopback. Default: as it is. */
  readonly access?: boolean | undefined;
  /** Makes one more token of root, for those who lost theirs: whoever starts a server on an engine may do everything with it anyway. Default false. */
  readonly accessRecover?: boolean | undefined;
  /** Takes each line of the audit log. Default: standard error, as the log. */
  readonly audit?: ((line: string) => void) | undefined;
  /** Told the token of root that `access` made. Default: it is written to standard error. */
  readonly firstToken?: ((token: string) => void) | undefined;
  /** Listen beyond loopback though everyone who connects may do everything. */
  readonly insecure?: boolean | undefined;
  /**
   * TLS on every address, beside plain text: a connection is told apart by its first byte. With `only` and clients' certificates required it
   * may listen beyond loopback.
   */
  readonly tls?: TlsOptions | undefined;
  /** How often the files of TLS are looked at for new certificates. Default 10 000. */
  readonly tlsReloadMs?: number | undefined;
  /** Raw engine verbs and backups for clients. Default true where only this machine can connect, else false. */
  readonly allowEngine?: boolean | undefined;
  /** The namespace that clients of etcd's API mean unless they name one. Default `etcd`. */
  readonly etcdNamespace?: string | undefined;
  /**
   * What each namespace may take through etcd's API, in bytes of keys and values; past it, writes are refused there and the alarm NOSPACE is
   * raised. Default: no limit.
   */
  readonly etcdQuotaBytes?: number | undefined;
  /** Who speaks the frames of HTTP/2: Waymark (`own`), or Node's module (`node`). Default `own`. */
  readonly http2?: Http2Layer | undefined;
  /** Registered watches and their delivery; false: this server has none of it. Default: on. */
  readonly watchers?: false | WatchersOptions | undefined;
  /**
   * The storage node of this server; false: none. Default: with `file:DIR` one in `DIR-stash`, from the first call of the stash on; with other engines none unless a directory is named.
   */
  readonly stash?: false | ServerStashOptions | undefined;
  readonly logLevel?: string | undefined;
  readonly connectionsMax?: number | undefined;
  readonly firstByteMs?: number | undefined;
  readonly headersMs?: number | undefined;
  readonly requestMs?: number | undefined;
  /** Watch streams over HTTP and WebSocket together. Default 10 000. */
  readonly streamsMax?: number | undefined;
  readonly heartbeatMs?: number | undefined;
  /**
   * Leases that one client has: of a connection of the binary protocol those it made or takes locks under, and where access is on those that a
   * user made over REST and etcd's API. Default 10 000.
   */
  readonly leasesMax?: number | undefined;
  /** Locks that one client has or asks for, counted as its leases are. Default 10 000. */
  readonly locksMax?: number | undefined;
  /** Calls under way over all faces; more wait for their turn. Default 10 000. */
  readonly inFlightMax?: number | undefined;
  /** Bytes of these calls. Default 134 217 728. */
  readonly inFlightBytesMax?: number | undefined;
  /** A call that has waited so long for its turn is refused, `overloaded`. Default 250. */
  readonly inFlightWaitMs?: number | undefined;
  /**
   * How often one client may call: where access is on the user, else the address; false: as often as it likes. Default: 1 000 calls a second
   * and 2 000 at once of each user where access is on, but for root and other servers; no limit where it is off.
   */
  readonly rate?: RateOptions | false | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** What a server takes unless it is told otherwise; docs/reference/limits.md says what each is. */
export const serverLimits = {
  connectionsMax: 10_000,
  streamsMax: 10_000,
  firstByteMs: 10_000,
  headersMs: 10_000,
  requestMs: 30_000,
  heartbeatMs: 15_000,
} as const;

export function schemeOf({ tls }: ServerOptions): 'http' | 'https' {
  return tls === undefined ? 'http' : 'https';
}

export function etcdOptions(
  options: ServerOptions,
  addresses: () => readonly string[],
): Pick<EtcdFaceOptions, 'namespace' | 'quotaBytes' | 'http2' | 'urls'> {
  const { advertise } = options;
  const urls = (): string[] => addresses().map((one) => urlOf(one, schemeOf(options)));
  return {
    namespace: options.etcdNamespace,
    quotaBytes: options.etcdQuotaBytes,
    http2: options.http2,
    urls: () => (advertise === undefined ? urls() : [advertise]),
  };
}

/** @throws {WaymarkError} `invalid` */
export function claimLimitsOf({ leasesMax, locksMax }: ServerOptions): ClaimLimits {
  validateWholeNumber('leasesMax', leasesMax);
  validateWholeNumber('locksMax', locksMax);
  return {
    leasesMax: leasesMax ?? defaultSocketLimits.leasesMax,
    locksMax: locksMax ?? defaultSocketLimits.locksMax,
  };
}

export function timesOf(
  options: ServerOptions,
): Pick<AppParts, 'headersMs' | 'requestMs' | 'streamsMax' | 'heartbeatMs'> {
  return {
    headersMs: options.headersMs ?? serverLimits.headersMs,
    requestMs: options.requestMs ?? serverLimits.requestMs,
    streamsMax: options.streamsMax ?? serverLimits.streamsMax,
    heartbeatMs: options.heartbeatMs ?? serverLimits.heartbeatMs,
  };
}
