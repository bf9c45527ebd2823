/** What the server answers, as far as it is shown: docs/reference/rest.md, and /openapi.json for all of it. */

export interface Facts {
  readonly path: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
  readonly lease: number | string;
}

export interface Entry extends Facts {
  /** The value, when it is UTF-8. */
  readonly value?: string;
  readonly base64: string;
}

export interface Page<T> {
  readonly entries: readonly T[];
  readonly more: boolean;
  readonly revision: number;
}

export interface Change {
  readonly kind: 'put' | 'delete' | 'expire' | 'lock' | 'unlock' | 'resync';
  readonly path: string;
  readonly revision: number;
  readonly entry?: Entry;
}
