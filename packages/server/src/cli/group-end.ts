import type { Hold } from 'waymark';
import { type Clock, systemClock } from 'waymark/engine';
import { type Groups, type Member, type Signalled, systemGroups } from './process-group.js';

/**
 * Ends a command's process group before the hold it runs under can pass on, and is over when nothing of the group is left.
 *
 * A hold that is not renewed any more passes on when its TTL ends. So the group gets TERM while a quarter of the TTL is left,
 * and KILL when a tenth is, looked at every 50 ms by the hold's own clock. What the command leaves behind gets KILL at once.
 *
 * KILL does not end everything: a process may wait for a disk that does not answer, or run as another user. As long as
 * the hold is held it is kept for these, and told so: to give it back would let another in beside them. Once the hold is lost
 * to wait protects nothing.
 */
export class GroupEnd {
  /** Resolves once nothing of the group works any more, or there is no use in waiting for it. */
  readonly over: Promise<CommandEnd>;
  readonly #parts: GroupEndParts;
  readonly #clock: Clock;
  readonly #groups: Groups;
  #resolve!: (end: CommandEnd) => void;
  #disarm: () => void = () => undefined;
  /** The command's own, once it has ended. */
  #code: number | undefined;
  #ended = false;
  #killAt = Number.POSITIVE_INFINITY;
  #killedAt: number | undefined;
  #lostAt: number | undefined;
  #warnAt = 0;
  #isOver = false;

  constructor(parts: GroupEndParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#groups = parts.groups ?? systemGroups;
    this.over = new Promise((resolve) => (this.#resolve = resolve));
    parts.hold.signal.addEventListener('abort', this.#turn);
    parts.interrupted.addEventListener('abort', this.#turn);
    this.#turn();
  }

  /** The command itself has ended; what it started may go on. */
  exited(code: number): void {
    this.#code = code;
    this.#turn();
  }

  readonly #turn = (): void => {
    const { hold, ttlMs } = this.#parts;
    // A hold that finds itself lost here tells so at once, and that is a turn within this one.
    const leftMs = hold.remainingMs();
    if (this.#isOver) return;
    this.#disarm();
    const now = this.#clock.now();
    if (this.#code === undefined) this.#ask(now, leftMs);
    if (this.#code !== undefined || leftMs < ttlMs / 10 || now >= this.#killAt) {
      this.#killedAt ??= now;
    }
    if (leftMs === 0) this.#lostAt ??= now;
    if (this.#killedAt !== undefined && this.#killed(now, leftMs)) this.#finish();
    else this.#disarm = this.#clock.after(this.#pauseMs(now), this.#turn, true);
  };

  /** Asks the command to end, once. */
  #ask(now: number, leftMs: number): void {
    const { group, interrupted, ttlMs } = this.#parts;
    this.#ended ||= leftMs < ttlMs / 4;
    if (this.#killAt !== Number.POSITIVE_INFINITY) return;
    if (!this.#ended && !interrupted.aborted) return;
    this.#groups.signal(group, 'SIGTERM');
    this.#killAt = now + graceMsMax;
  }

  /** @returns whether it is over */
  #killed(now: number, leftMs: number): boolean {
    const { group, title, ttlMs } = this.#parts;
    const signalled = this.#groups.signal(group, 'SIGKILL');
    const members = signalled === 'gone' ? [] : this.#groups.members(group);
    // Before Node has told how the command ended, that is about to come.
    if (isGone(signalled, members)) return this.#code !== undefined;
    if (!this.#isStuck(now)) return false;
    if (this.#lostAt !== undefined) {
      this.#warn(`these processes could not be killed and go on without ${title}`, members);
      return true;
    }
    // Where nobody tells the dead from the living, a group that KILL reached may consist of the dead.
    if (members === null && signalled === 'sent' && this.#code !== undefined) {
      this.#warn(`it is not known whether these processes have ended, and ${title} ends`, members);
      return true;
    }
    // One that is not renewed any more is not kept.
    if (now >= this.#warnAt && leftMs >= ttlMs / 4) {
      const kept = `${title} is kept until these processes are gone, which could not be killed`;
      this.#warn(kept, members);
      this.#warnAt = now + warnEveryMs;
    }
    return false;
  }

  /** What KILL reached has had time to end, and since the hold was lost, too. */
  #isStuck(now: number): boolean {
    return now - Math.max(this.#killedAt ?? now, this.#lostAt ?? 0) >= goneMsMax;
  }

  /** To look at all processes of a machine costs something: that need not be often for what is stuck. */
  #pauseMs(now: number): number {
    return this.#isStuck(now) ? stuckLookMs : lookMs;
  }

  #warn(text: string, members: readonly Member[] | null): void {
    const { warn = (line: string) => void process.stderr.write(line) } = this.#parts;
    warn(`waymark: ${text}: ${pids(members)}\n`);
  }

  #finish(): void {
    this.#isOver = true;
    this.#parts.hold.signal.removeEventListener('abort', this.#turn);
    this.#parts.interrupted.removeEventListener('abort', this.#turn);
    this.#resolve({ code: this.#code ?? killedCode, ended: this.#ended });
  }
}

export interface CommandEnd {
  /** The command's own code; 128 + n when a signal ended it, 126 and 127 when it could not be started. */
  readonly code: number;
  /** It was ended because the hold was about to pass on, or had been taken away. */
  readonly ended: boolean;
}

/** What a command runs under, by the local clock. */
export type Running = Pick<Hold, 'signal' | 'remainingMs'>;

export interface GroupEndParts {
  readonly group: number;
  readonly hold: Running;
  /** What is held, for people: 'the lock on /a'. */
  readonly title: string;
  readonly ttlMs: number;
  readonly interrupted: AbortSignal;
  readonly clock?: Clock;
  readonly groups?: Groups;
  /** Default: to standard error. */
  readonly warn?: (line: string) => void;
}

export const graceMsMax = 10_000;
const lookMs = 50;
const stuckLookMs = 1_000;
const goneMsMax = 2_000;
const warnEveryMs = 10_000;
/** Of a command that KILL will end, whenever that is. */
const killedCode = 137;

/** A refusal alone proves that somebody is there, whom this user may not even see: so nobody to be seen is not yet nobody. */
function isGone(signalled: Signalled, members: readonly Member[] | null): boolean {
  if (signalled === 'gone') return true;
  return members !== null && members.length > 0 && members.every(({ dead }) => dead);
}

function pids(members: readonly Member[] | null): string {
  const working = (members ?? []).filter(({ dead }) => !dead);
  if (working.length === 0) return 'this system does not tell which';
  return working.map(({ pid }) => pid).join(', ');
}
