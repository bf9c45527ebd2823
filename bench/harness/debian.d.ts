/** Installs Debian packages that are missing; needs root and the network once. */
export declare function ensureDebian(packages: readonly string[]): void;
