import type { ErrorCode } from './errors.js';

/** What a code is on each face. docs/reference/errors.md shows the same table, and a test compares the two. */
export interface ErrorFaces {
  /** HTTP status. */
  readonly http: number;
  /** gRPC status code. */
  readonly grpc: number;
  /** Exit code of the `waymark` command. */
  readonly exit: number;
}

export const errorTable: Readonly<Record<ErrorCode, ErrorFaces>> = {
  taken: { http: 409, grpc: 6, exit: 10 },
  locked: { http: 423, grpc: 9, exit: 11 },
  exhausted: { http: 409, grpc: 8, exit: 12 },
  limit_mismatch: { http: 409, grpc: 9, exit: 13 },
  lost: { http: 410, grpc: 9, exit: 14 },
  timeout: { http: 408, grpc: 4, exit: 15 },
  unavailable: { http: 503, grpc: 14, exit: 16 },
  uncertain: { http: 504, grpc: 2, exit: 17 },
  superseded: { http: 410, grpc: 9, exit: 18 },
  compacted: { http: 410, grpc: 11, exit: 19 },
  future_revision: { http: 400, grpc: 11, exit: 20 },
  conflict: { http: 412, grpc: 10, exit: 21 },
  not_found: { http: 404, grpc: 5, exit: 22 },
  too_large: { http: 413, grpc: 3, exit: 23 },
  invalid: { http: 400, grpc: 3, exit: 24 },
  unauthenticated: { http: 401, grpc: 16, exit: 25 },
  denied: { http: 403, grpc: 7, exit: 26 },
  overloaded: { http: 429, grpc: 8, exit: 27 },
  storage_full: { http: 507, grpc: 8, exit: 28 },
  corrupt: { http: 500, grpc: 15, exit: 29 },
  internal: { http: 500, grpc: 13, exit: 30 },
  failed: { http: 424, grpc: 9, exit: 31 },
};
