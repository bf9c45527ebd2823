import type { Clock, Random } from '../core/clock.js';

/** setTimeout takes at most 2³¹−1 ms and fires at once beyond it: longer delays are re-armed. */
const delayMsMax = 2_147_483_647;

/** The clock of a page, in the place of core/system-clock.ts. A page that is hidden has its timers slowed: holds compare clocks on every question. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, task) {
    let timer: ReturnType<typeof setTimeout>;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, delayMsMax);
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : task()), stepMs);
    };
    arm(Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
  nextTurn: (task) => void setTimeout(task),
};

export const systemRandom: Random = {
  next() {
    const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
    return (high * 2 ** 16 + (low >>> 16)) / 2 ** 48;
  },
  id() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const base64 = btoa(String.fromCharCode(...bytes));
    const id = base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
    return id.startsWith('-') ? this.id() : id;
  },
};
