/**
 * The Huffman code of RFC 7541 appendix B. It is canonical: the lengths of the codes tell the codes, so only they stand here.
 * Strings are decoded four bits at a time: no code is shorter than five, so a step yields one symbol at most.
 */

/** Symbols by the length of their codes in bits; text where they can be read, numbers where not. 256 ends a string. */
const symbolsByBits: readonly (readonly [bits: number, symbols: string | readonly number[]])[] = [
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, '\0$@[]~'],
  [14, '^}'],
  [15, '<`{'],
  [19, [92, 195, 208]],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    [
      129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187,
      189, 190, 196, 198, 228, 232, 233,
    ],
  ],
  [
    23,
    [
      1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168,
      174, 175, 180, 182, 183, 188, 191, 197, 231, 239,
    ],
  ],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [26, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [
    27,
    [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254],
  ],
  [
    28,
    [
      2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30,
      31, 127, 220, 249,
    ],
  ],
  [30, [10, 13, 22, 256]],
];

const endOfString = 256;

/** The code of each symbol and its length in bits. */
const codeOf = new Uint32Array(257);
const bitsOf = new Uint8Array(257);

let next = 0;
let nextBits = 0;
for (const [bits, symbols] of symbolsByBits) {
  next <<= bits - nextBits;
  nextBits = bits;
  const numbers = typeof symbols === 'string' ? [...Buffer.from(symbols, 'latin1')] : symbols;
  for (const symbol of numbers) {
    codeOf[symbol] = next++;
    bitsOf[symbol] = bits;
  }
}

/** Two children of each inner node: another inner node, or −1 − symbol. */
const children = new Int16Array(2 * 256);
let nodes = 1;
for (let symbol = 0; symbol <= endOfString; symbol++) {
  const bits = bitsOf[symbol] as number;
  let node = 0;
  for (let bit = bits - 1; bit >= 0; bit--) {
    const at = 2 * node + (((codeOf[symbol] as number) >>> bit) & 1);
    if (bit === 0) children[at] = -1 - symbol;
    else node = children[at] = children[at] === 0 ? nodes++ : (children[at] as number);
  }
}

/** By node and four bits: the node after them, 0x100 and the symbol × 0x200 when one ends, 0x20000 when that is the end of a string. */
const steps = new Uint32Array(256 * 16);
for (let node = 0; node < nodes; node++) {
  for (let nibble = 0; nibble < 16; nibble++) {
    let at = node;
    let step = 0;
    for (let bit = 3; bit >= 0; bit--) {
      at = children[2 * at + ((nibble >>> bit) & 1)] as number;
      if (at >= 0) continue;
      step |= at === -1 - endOfString ? 0x20000 : 0x100 | ((-1 - at) << 9);
      at = 0;
    }
    steps[16 * node + nibble] = step | at;
  }
}

/** Nodes at which a string may end: fewer than eight bits of ones since the last symbol (section 5.2). */
const mayEnd = new Uint8Array(256);
for (let node = 0, depth = 0; depth < 8; depth++) {
  mayEnd[node] = 1;
  node = children[2 * node + 1] as number;
}

/** @returns how many bytes were written to `out`, which holds 8/5 of those read; −1 when they are no such string */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, out: Buffer): number {
  let node = 0;
  let at = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    const high = steps[16 * node + (byte >>> 4)] as number;
    if ((high & 0x100) !== 0) out[at++] = high >>> 9;
    const low = steps[16 * (high & 0xff) + (byte & 0xf)] as number;
    if ((low & 0x100) !== 0) out[at++] = low >>> 9;
    if (((high | low) & 0x20000) !== 0) return -1;
    node = low & 0xff;
  }
  return mayEnd[node] === 1 ? at : -1;
}

/** @returns how many bytes `text` takes encoded */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += bitsOf[text.charCodeAt(i) & 0xff] as number;
  return (bits + 7) >>> 3;
}

export function huffmanEncode(text: string): Buffer {
  const out = Buffer.alloc(huffmanBytes(text));
  let at = 0;
  // At most 7 bits wait for their byte: with a code of 30 they fit a double, not an int32.
  let waiting = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    bits += bitsOf[symbol] as number;
    waiting = waiting * 2 ** (bitsOf[symbol] as number) + (codeOf[symbol] as number);
    while (bits >= 8) {
      bits -= 8;
      const byte = Math.floor(waiting / 2 ** bits);
      out[at++] = byte;
      waiting -= byte * 2 ** bits;
    }
  }
  if (bits > 0) out[at] = (waiting << (8 - bits)) | (0xff >>> bits);
  return out;
}
