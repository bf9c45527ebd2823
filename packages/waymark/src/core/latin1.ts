/**
 * What Node's Buffer can do and its types do not tell: latin1 in and out without the lookup of an encoding's name.
 * Where a Buffer lacks them (the polyfills that bundlers bring), the named encoding does the same.
 */
export interface FastBuffer extends Buffer {
  latin1Write(text: string, offset: number, length: number): number;
  latin1Slice(start: number, end: number): string;
  utf8Write(text: string, offset: number, length: number): number;
  utf8Slice(start: number, end: number): string;
}

/** The same bytes, typed with the fast calls. */
export function fast(bytes: Uint8Array): FastBuffer {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return 'latin1Slice' in buffer ? (buffer as FastBuffer) : withFallbacks(buffer);
}

export function allocate(size: number): FastBuffer {
  return fast(Buffer.allocUnsafeSlow(size));
}

function withFallbacks(buffer: Buffer): FastBuffer {
  return Object.assign(buffer, {
    latin1Write: (text: string, offset: number, length: number) =>
      buffer.write(text, offset, length, 'latin1'),
    latin1Slice: (start: number, end: number) => buffer.toString('latin1', start, end),
    utf8Write: (text: string, offset: number, length: number) =>
      buffer.write(text, offset, length, 'utf8'),
    utf8Slice: (start: number, end: number) => buffer.toString('utf8', start, end),
  });
}
