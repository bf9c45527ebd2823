/** Codes of gRPC's statuses (grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const grpcCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

export type GrpcCode = (typeof grpcCode)[keyof typeof grpcCode];

/** Statuses of HTTP that say the same, by code: google/rpc/code.proto, with two that etcd's gateway has otherwise. */
const httpStatuses = [
  200, 408, 500, 400, 504, 404, 409, 403, 429, 412, 409, 400, 501, 500, 503, 500, 401,
] as const;

export function httpStatusOf(code: GrpcCode): number {
  return httpStatuses[code] ?? 500;
}

/** How a call ends that does not end well: what its client is told. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: GrpcCode;

  constructor(code: GrpcCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/**
 * A message as it goes into `grpc-message`: bytes beyond printable ASCII, and the percent sign, percent-encoded, and nothing else, since
 * clients compare the text without decoding all of it.
 */
export function encodeMessage(message: string): string {
  let text = '';
  for (const byte of Buffer.from(message)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    text += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
