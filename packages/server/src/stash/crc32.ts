import * as zlib from 'node:zlib';

/**
 * The CRC-32 of zlib. A call into zlib costs as much as a thousand bytes of this loop, and most records are short: four bytes a step, by
 * four tables (Kounavis and Berry, A systematic approach to building high performance CRC generators, 2005).
 */

const polynomial = 0xedb88320;
const shortMax = 1_024;

const tables = new Uint32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
  tables[byte] = rest >>> 0;
}
for (let i = 256; i < tables.length; i++) {
  const before = tables[i - 256] as number;
  tables[i] = ((before >>> 8) ^ (tables[before & 0xff] as number)) >>> 0;
}

/** @param crc  of what comes before; 0: nothing does */
export function crc32(block: Uint8Array, start: number, end: number, crc = 0): number {
  if (end - start > shortMax) return zlib.crc32(block.subarray(start, end), crc);
  let rest = ~crc;
  let at = start;
  for (const whole = end - 3; at < whole; at += 4) {
    rest ^=
      (block[at] as number) |
      ((block[at + 1] as number) << 8) |
      ((block[at + 2] as number) << 16) |
      ((block[at + 3] as number) << 24);
    rest =
      (tables[768 + (rest & 0xff)] as number) ^
      (tables[512 + ((rest >>> 8) & 0xff)] as number) ^
      (tables[256 + ((rest >>> 16) & 0xff)] as number) ^
      (tables[rest >>> 24] as number);
  }
  for (; at < end; at++) {
    rest = (rest >>> 8) ^ (tables[(rest ^ (block[at] as number)) & 0xff] as number);
  }
  return ~rest >>> 0;
}
