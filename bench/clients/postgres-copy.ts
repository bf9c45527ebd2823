import pg from 'pg';

/** `COPY … FROM STDIN` of bytes that are made beforehand: the package knows the messages, and leaves their use to others. */
export class CopyIn extends pg.Query {
  readonly #bytes: Buffer;

  constructor(text: string, bytes: Buffer, done: (error: Error | undefined) => void) {
    super(text, [], done);
    this.#bytes = bytes;
  }

  handleCopyInResponse(connection: {
    sendCopyFromChunk(chunk: Buffer): void;
    endCopyFrom(): void;
  }): void {
    connection.sendCopyFromChunk(this.#bytes);
    connection.endCopyFrom();
  }
}
