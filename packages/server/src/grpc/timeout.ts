const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/** No timer waits longer; who asks for more waits so long. */
const msMax = 2 ** 31 - 1;

/** @param text  of `grpc-timeout`: up to eight digits and a unit. @returns whole milliseconds, null for what is none */
export function parseTimeout(text: string): number | null {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text);
  if (match === null) return null;
  const [, digits, unit = ''] = match;
  return Math.min(Math.ceil(Number(digits) * (unitMs[unit] as number)), msMax);
}
