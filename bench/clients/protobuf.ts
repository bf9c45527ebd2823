/** As much of the encoding as peers need whose messages are written by hand. */

export function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2]), varint(BigInt(bytes.length)), bytes]);
}

export function numberField(field: number, value: bigint): Buffer {
  return Buffer.concat([Buffer.from([field << 3]), varint(value)]);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  bytes.push(Number(left));
  return Buffer.from(bytes);
}
