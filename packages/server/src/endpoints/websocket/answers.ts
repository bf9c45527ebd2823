import { WaymarkError } from 'waymark/engine';

/** What a receiver says: docs/endpoints/websocket.md. */
export type Answer =
  | { readonly kind: 'at'; readonly last: string | null; readonly fence: number }
  | { readonly kind: 'ack'; readonly id: string; readonly last: string | null }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'again'; readonly retryAfterMs: number | undefined };

/** @param text  null for what was no text. @throws {WaymarkError} `invalid` */
export function readAnswer(text: string | null): Answer {
  const said = membersOf(text);
  const { last, fence, ack, sequence, refuse, gone, retryAfterMs } = said;
  if (typeof ack === 'string' && isSequence(sequence))
    return { kind: 'ack', id: ack, last: sequence };
  if (refuse === 'superseded') return { kind: 'superseded' };
  if (gone === true) return { kind: 'gone' };
  if (retryAfterMs === null) return { kind: 'again', retryAfterMs: undefined };
  if (typeof retryAfterMs === 'number' && retryAfterMs >= 0) return { kind: 'again', retryAfterMs };
  if (isSequence(last) && Number.isSafeInteger(fence))
    return { kind: 'at', last, fence: Number(fence) };
  throw new WaymarkError('invalid', 'the receiver answered what waymark.delivery.v1 does not know');
}

function membersOf(text: string | null): Readonly<Record<string, unknown>> {
  try {
    const read: unknown = JSON.parse(text ?? '');
    if (typeof read === 'object' && read !== null) return read as Record<string, unknown>;
  } catch {
    // As what is no object.
  }
  throw new WaymarkError('invalid', 'the receiver answered what is no JSON object');
}

function isSequence(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}
