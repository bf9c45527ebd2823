import { test } from 'vitest';
import { type Found, seek, type ServiceName } from '#services';

declare module 'vitest' {
  interface TaskMeta {
    /** Why something could not run; the reporter counts these and prints them. */
    notRun?: string;
  }
}

/** A service, or null: then `what` is told and counted as not run, with the reason. */
export function orNotRun(name: ServiceName, what: string): Found | null {
  const found = seek(name);
  if (found.missing === undefined) return found;
  const reason = `${what}: ${found.missing}`;
  test(`not run: ${what}`, ({ task }) => {
    task.meta.notRun = reason;
  });
  return null;
}
