/** Up to which stamps a partition is sealed, and purged: never further purged than sealed (rule D5.6). */
export interface Floor {
  readonly sealed: number;
  readonly purged: number;
}

const itemBytes = 16;

/** As nodes tell them to each other. */
export function packFloors(floors: readonly Floor[]): Uint8Array {
  const packed = Buffer.alloc(floors.length * itemBytes);
  for (const [at, { sealed, purged }] of floors.entries()) {
    packed.writeDoubleBE(purged, packed.writeDoubleBE(sealed, at * itemBytes));
  }
  return packed;
}

export function unpackFloors(packed: Uint8Array): Floor[] {
  const block = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: Math.floor(block.length / itemBytes) }, (_, at) => {
    const start = at * itemBytes;
    return { sealed: block.readDoubleBE(start), purged: block.readDoubleBE(start + 8) };
  });
}
