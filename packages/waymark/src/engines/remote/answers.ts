import { WaymarkError } from '../../core/errors.js';
import { readBatch } from '../../wire/batch-codec.js';
import { readError } from '../../wire/errors.js';
import { messageBytesMax } from '../../wire/frames.js';
import { readWelcome, type Welcome } from '../../wire/hello.js';
import { messages } from '../../wire/messages.js';
import type { Method } from '../../wire/method.js';
import { malformed, Reader } from '../../wire/reader.js';
import type { PlaceTable } from './place-table.js';

/** What a server says about the connection itself. */
export interface ServerEvents {
  welcomed(welcome: Welcome): void;
  refused(error: WaymarkError): void;
  goaway(): void;
  pinged(): void;
}

/** Reads what one transport brings, and hands each answer to its place. */
export class Answers {
  readonly #table: PlaceTable;
  readonly #events: ServerEvents;
  readonly #parts = new Map<number, { pieces: Buffer[]; bytes: number }>();
  #over = false;

  constructor(table: PlaceTable, events: ServerEvents) {
    this.#table = table;
    this.#events = events;
  }

  /** Nothing of this transport counts any more. */
  end(): void {
    this.#over = true;
  }

  frame(reader: Reader): void {
    while (!reader.done && !this.#over) this.#message(reader);
  }

  #message(r: Reader): void {
    const type = r.byte();
    switch (type) {
      case messages.ok:
        return this.#ok(r);
      case messages.batch:
        return this.#batch(r);
      case messages.error: {
        const id = r.uint();
        const error = readError(r);
        return id === 0 ? this.#events.refused(error) : this.#failed(id, error);
      }
      case messages.cancelled:
        return this.#failed(r.uint(), new WaymarkError('unavailable', 'the call was cancelled'));
      case messages.part:
        return this.#part(r);
      case messages.welcome:
        return this.#events.welcomed(readWelcome(r));
      case messages.ping:
        return this.#events.pinged();
      case messages.goaway:
        return this.#events.goaway();
      case messages.pong:
        return;
      default:
        throw malformed(`a message of the unknown type ${type}`);
    }
  }

  #ok(r: Reader): void {
    const place = this.#table.find(r.uint());
    const result = (place.method as Method<unknown, unknown>).readResult(r, place.args);
    const { resolve, sink, state, undo } = place;
    this.#table.give(place);
    if (state === 'left') void undo?.(result);
    if (sink !== null) sink.answer(result);
    else resolve?.(result);
  }

  #batch(r: Reader): void {
    const { sink } = this.#table.find(r.uint());
    if (sink !== null) sink.batch(r);
    else readBatch(r);
  }

  #failed(id: number, error: WaymarkError): void {
    const place = this.#table.find(id);
    const { reject, sink } = place;
    this.#table.give(place);
    if (sink !== null) sink.failed(error);
    else reject?.(error);
  }

  #part(r: Reader): void {
    const id = r.uint();
    const last = r.bool();
    const piece = r.blob();
    const held = this.#parts.get(id) ?? { pieces: [], bytes: 0 };
    held.pieces.push(Buffer.from(piece));
    held.bytes += piece.length;
    if (held.bytes > messageBytesMax) throw malformed('a message of too many parts');
    this.#parts.set(id, held);
    if (!last) return;
    this.#parts.delete(id);
    this.frame(new Reader(Buffer.concat(held.pieces)));
  }
}
