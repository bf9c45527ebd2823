/** What a call ended with, in the form of grpc-js. */
export class CallFailure extends Error {
  /** Of gRPC's statuses. */
  readonly code: number;
  readonly details: string;

  constructor(code: number, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

const [ok, unknown, internal] = [0, 2, 13];

/** What came of one call so far (grpc/doc/PROTOCOL-HTTP2.md). */
export class UnaryAnswer {
  readonly #pieces: Buffer[] = [];
  readonly #fields = new Map<string, string>();

  add(piece: Buffer): void {
    if (piece.length > 0) this.#pieces.push(piece);
  }

  field(name: string, value: string): void {
    this.#fields.set(name, value);
  }

  /** Once it is over. @throws {CallFailure} */
  message(): Buffer {
    const status = this.#fields.get('grpc-status');
    if (status === undefined)
      throw new CallFailure(unknown, `HTTP status ${this.#fields.get(':status')}, none of gRPC`);
    if (Number(status) !== ok)
      throw new CallFailure(Number(status), decoded(this.#fields.get('grpc-message') ?? ''));
    const [first] = this.#pieces;
    const bytes =
      first !== undefined && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    // A byte that says it is not compressed, as it was asked for, and its length.
    if (bytes.length < 5 || bytes[0] !== 0 || bytes.readUInt32BE(1) !== bytes.length - 5)
      throw new CallFailure(internal, 'an answer that is not one whole message');
    return bytes.subarray(5);
  }
}

/** UTF-8 in percent signs. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
