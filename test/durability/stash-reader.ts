import { cpSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { findingsOf, openStore, packKeys } from '@waymark/server/testing';
import { seededRandom } from './seeded-random.js';

/** Reads a store again and again, each time with another bit of its file turned, and tells what it found. LMDB may end the process over a bit in its own pages. */
const [directory = '', seed = '0', from = '0', to = '0', keyCount = '0'] = process.argv.slice(2);
const keys = Array.from({ length: Number(keyCount) }, (_, i) => `key/${i}`);
const whole = readFileSync(join(directory, 'data.mdb'));
const copy = `${directory}-flipped`;

for (let flip = Number(from); flip < Number(to); flip++) {
  const random = seededRandom(Number(seed) + flip);
  const bit = Math.floor(random.next() * whole.length * 8);
  const turned = Buffer.from(whole);
  turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
  rmSync(copy, { recursive: true, force: true });
  cpSync(directory, copy, { recursive: true });
  writeFileSync(join(copy, 'data.mdb'), turned);
  writeSync(1, `${JSON.stringify({ flip, bit })}\n`);
  writeSync(1, `${JSON.stringify({ flip, ...(await look()) })}\n`);
}
rmSync(copy, { recursive: true, force: true });
process.exit(0);

async function look(): Promise<object> {
  const seen = { right: 0, damaged: 0, missing: 0, wrong: 0 };
  try {
    await using store = await openStore(copy);
    for (const [i, found] of findingsOf(store.read('some', packKeys(keys), false)).entries()) {
      if (found === null) seen.missing++;
      else if (found === 'damaged') seen.damaged++;
      else if (found.value === `${keys[i]} ${'x'.repeat((i * 37) % 400)}`) seen.right++;
      else seen.wrong++;
    }
    return seen;
  } catch (error) {
    return { ...seen, refused: String(error) };
  }
}
