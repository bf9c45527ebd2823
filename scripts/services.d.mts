export type ServiceName =
  | 'etcd-3.4'
  | 'etcd-3.5'
  | 'postgres-15'
  | 'postgres-18'
  | 'pgbouncer'
  | 'rabbitmq'
  | 'nats'
  | 'mariadb'
  | 'redis'
  | 'prosody'
  | 'libfaketime'
  | 'nghttp2'
  | 'curl'
  | 'prometheus'
  | 'python-etcd3'
  | 'go-etcd'
  | 'chromium'
  | 'node-22'
  | 'node-24'
  | 'iproute2'
  | 'nftables';

export interface Found {
  /** Its main file: a program, or a library to preload. */
  readonly path: string;
  readonly directory: string;
  readonly version: string;
  readonly missing?: undefined;
}

/** Finds or gets a service. @returns where it is, or why it could not be had */
export function seek(name: ServiceName): Found | { readonly missing: string };

/** As `seek`. @throws when it could not be had, with what to do */
export function service(name: ServiceName): Found;

/** Installs Debian packages that are missing; needs root and the network once. */
export function ensureDebian(packages: readonly string[]): void;
