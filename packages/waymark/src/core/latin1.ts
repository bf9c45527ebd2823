/**
 * Latin1 and UTF-8 in and out of a Buffer without the lookup of an encoding's name, by methods of Node's Buffer that its types do
 * not tell. They are taken from the prototype once: found anew through each Buffer, they cost half a call more. Where they are
 * missing (the polyfills that bundlers bring), the named encoding does the same.
 */
interface NativeMethods {
  latin1Write(text: string, offset: number, length: number): number;
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

const native = Buffer.prototype as Partial<NativeMethods>;
const nativeLatin1Write = native.latin1Write ?? writeLatin1;
const nativeLatin1Slice = native.latin1Slice ?? sliceLatin1;
const nativeUtf8Slice = native.utf8Slice ?? sliceUtf8;

/** @param length  the string's */
export function latin1Write(buffer: Buffer, text: string, offset: number, length: number): void {
  nativeLatin1Write.call(buffer as Buffer & NativeMethods, text, offset, length);
}

export function latin1Slice(buffer: Buffer, start: number, end: number): string {
  return nativeLatin1Slice.call(buffer as Buffer & NativeMethods, start, end);
}

export function utf8Slice(buffer: Buffer, start: number, end: number): string {
  return nativeUtf8Slice.call(buffer as Buffer & NativeMethods, start, end);
}

function writeLatin1(this: Buffer, text: string, offset: number, length: number): number {
  return this.write(text, offset, length, 'latin1');
}

function sliceLatin1(this: Buffer, start: number, end: number): string {
  return this.toString('latin1', start, end);
}

function sliceUtf8(this: Buffer, start: number, end: number): string {
  return this.toString('utf8', start, end);
}
