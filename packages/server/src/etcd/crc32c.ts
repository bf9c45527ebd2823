/** CRC-32C (Castagnoli; RFC 3720, appendix B.4), a byte at a time. */

const polynomial = 0x82f63b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
  return rest;
});

/** @param crc  of what came before; 0: nothing did */
export function crc32c(bytes: Uint8Array, crc = 0): number {
  let rest = ~crc;
  for (const byte of bytes) rest = (rest >>> 8) ^ (table[(rest ^ byte) & 0xff] as number);
  return ~rest >>> 0;
}
