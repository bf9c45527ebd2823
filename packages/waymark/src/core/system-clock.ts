import { randomBytes } from 'node:crypto';
import type { Clock, Random } from './clock.js';

/** setTimeout takes at most 2³¹−1 ms and fires at once beyond it: longer delays are re-armed. */
const delayMsMax = 2_147_483_647;

/** The platform's clock: the one place that reads it. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, task, keepAlive = false) {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, delayMsMax);
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : task()), stepMs);
      if (!keepAlive) timer.unref();
    };
    arm(Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
  nextTurn: (task) => void setImmediate(task),
};

/** Random bytes are drawn in blocks: a draw per id costs more than all else about taking a lock. */
const blockBytes = 4_096;
let block = Buffer.alloc(0);
let drawn = 0;

/** @returns where in the block so many fresh bytes begin */
function draw(bytes: number): number {
  if (drawn + bytes > block.length) {
    block = randomBytes(blockBytes);
    drawn = 0;
  }
  const start = drawn;
  drawn += bytes;
  return start;
}

export const systemRandom: Random = {
  next() {
    const start = draw(6);
    return block.readUIntBE(start, 6) / 2 ** 48;
  },
  id() {
    const start = draw(16);
    const id = block.toString('base64url', start, start + 16);
    return id.startsWith('-') ? this.id() : id;
  },
};
