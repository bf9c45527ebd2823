import * as zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { crc32 } from './crc32.js';

test('[D4.2] the CRC is that of zlib, whatever the length and wherever it is cut', () => {
  const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, i) => (i * 7_919 + (i >> 3)) & 0xff));
  for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 1_023, 1_024, 1_025, 2_990]) {
    const expected = zlib.crc32(bytes.subarray(5, 5 + length));
    expect(crc32(bytes, 5, 5 + length)).toBe(expected);
    const middle = 5 + Math.floor(length / 3);
    expect(crc32(bytes, middle, 5 + length, crc32(bytes, 5, middle))).toBe(expected);
  }
});
