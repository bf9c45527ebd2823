import { readFileSync } from 'node:fs';

/**
 * A command that says `started`, then notes each step with the time until it is killed.
 *
 * @param told  what it says to TERM, beside going on
 */
export function stubborn(file: string, told?: string): string[] {
  const step = `date +%s%3N > ${file}.new; mv ${file}.new ${file}; sleep 0.02`;
  const trap = told === undefined ? '' : `echo ${told}`;
  return ['sh', '-c', `trap '${trap}' TERM; echo started; for i in $(seq 500); do ${step}; done`];
}

/** When it made its last step, ms since 1970. */
export function lastStep(file: string): number {
  return Number(readFileSync(file, 'utf8'));
}
