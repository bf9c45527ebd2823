import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Of a signal to a group: `refused` when all that is left of it runs as somebody this user may not signal. */
export type Signalled = 'sent' | 'refused' | 'gone';

export interface Member {
  readonly pid: number;
  /** It works on nothing any more: it only waits for its parent to ask how it ended. */
  readonly dead: boolean;
}

/** What the operating system knows of process groups. */
export interface Groups {
  signal(group: number, signal: NodeJS.Signals): Signalled;
  /** Null where the system does not tell: without a /proc, as on macOS. */
  members(group: number): readonly Member[] | null;
}

export const systemGroups: Groups = {
  signal: (group, signal) => signalGroup(group, signal),
  members: (group) => membersOf(group),
};

export function signalGroup(
  group: number,
  signal: NodeJS.Signals,
  kill: (pid: number, signal: NodeJS.Signals) => unknown = (...args) => process.kill(...args),
): Signalled {
  try {
    kill(-group, signal);
    return 'sent';
  } catch (error) {
    // EPERM, or whatever else a system may come up with, does not say that nobody is there.
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? 'gone' : 'refused';
  }
}

function membersOf(group: number): readonly Member[] | null {
  // Other systems have a /proc too, with other files.
  if (!existsSync('/proc/self/stat')) return null;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    const { group: its, dead } = parseStat(statOf(pid));
    return its === group ? [{ pid: Number(pid), dead }] : [];
  });
}

/** @param stat  of /proc/PID/stat; empty when the process has ended meanwhile */
export function parseStat(stat: string): { readonly group: number; readonly dead: boolean } {
  // The name stands in brackets and may have any in it. Then: state, parent, group, and as the 18th the number of threads.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', , group] = fields;
  // A process whose first thread has ended is shown as a zombie while another one, stuck in the disk, say, goes on.
  const threads = Number(fields[17]);
  return { group: Number(group), dead: /[XxZ]/.test(state) && threads <= 1 };
}

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}
