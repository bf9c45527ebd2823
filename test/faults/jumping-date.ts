/**
 * Loaded into a process (`node --import`), makes its wall clock jump between an hour ahead, an hour behind and the truth, five times
 * a second. The monotonic clock stays as it is: nothing that is judged may notice.
 */
const hourMs = 3_600_000;
const trueNow = Date.now.bind(Date);
const startedAt = trueNow();

Date.now = () => {
  const step = Math.floor((trueNow() - startedAt) / 200) % 3;
  return trueNow() + (step === 1 ? hourMs : step === 2 ? -hourMs : 0);
};

/** Ends the jumps, for a process that goes on. */
export function steadyDate(): void {
  Date.now = trueNow;
}
