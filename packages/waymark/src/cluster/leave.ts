import { WaymarkError } from '../core/errors.js';
import { changeMs, moveLeader, removeMember } from './etcd-members.js';
import type { Health, MemberHealth } from './health.js';
import { addressOf } from './member-file.js';
import type { Supervisor } from './supervisor.js';

export interface LeaveRequest {
  /** Name or id of another member, that died for good. Default: this one. */
  readonly member?: string | undefined;
  /** Go although those who stay would be too few, or cannot be asked. */
  readonly force: boolean;
}

/** Who goes in any case does not wait for what may pass. */
const forcedMs = 3_000;
const moveMs = 2_000;

/**
 * Takes a member out of the cluster.
 *
 * @returns who it was
 * @throws {WaymarkError} `not_found`; `conflict` for the last member, and when those who stay would have no majority; `unavailable`
 */
export async function leave(supervisor: Supervisor, request: LeaveRequest): Promise<string> {
  const health = await supervisor.ask();
  const { name: own, id } = supervisor.file;
  const target = health.members.find((member) =>
    request.member === undefined
      ? member.id === (health.own?.id ?? id)
      : member.name === request.member || member.id === request.member,
  );
  const self = request.member === undefined || target?.name === own;
  const name = self ? own : target?.name || request.member || '';
  if (!self && target === undefined)
    throw new WaymarkError('not_found', `there is no member ${request.member}`);
  supervisor.leaving = self;
  try {
    if (target !== undefined) await remove(supervisor, health, target, request.force);
  } catch (error) {
    supervisor.leaving = false;
    if (!self || !request.force || isLast(health, target)) throw error;
  }
  if (self) await supervisor.left();
  return name;
}

async function remove(
  supervisor: Supervisor,
  health: Health,
  target: MemberHealth,
  force: boolean,
): Promise<void> {
  refuseLast(health, target);
  if (health.why !== null && health.state !== 'member' && health.state !== 'learner')
    throw new WaymarkError('unavailable', health.why);
  const stay = health.members.filter((member) => member.id !== target.id);
  if (!force && !target.learner) refuseLostMajority(stay);
  const others = stay.filter(({ answers, learner }) => answers && !learner);
  const addresses = others.flatMap(({ clientUrls }) => clientUrls.map(addressOf));
  if (addresses.length === 0) throw new WaymarkError('unavailable', 'no other member answers');
  const [next] = others;
  if (target.leads && next !== undefined) {
    const leader = target.clientUrls.map(addressOf);
    // It only shortens the pause: without it the others choose a leader when this one is gone.
    await supervisor
      .with(leader, moveMs, (client) => moveLeader(client, next.id))
      .catch(() => undefined);
  }
  const withinMs = force ? forcedMs : changeMs;
  await supervisor.with(addresses, withinMs, (client) => removeMember(client, target.id));
}

function isLast({ members }: Health, target: MemberHealth | undefined): boolean {
  return members.every(({ id, learner }) => learner || id === target?.id);
}

function refuseLast(health: Health, target: MemberHealth): void {
  if (!isLast(health, target)) return;
  const text = `${target.name} is the last member: all data would be gone with it. To end it, stop it and delete its directory`;
  throw new WaymarkError('conflict', text);
}

function refuseLostMajority(stay: readonly MemberHealth[]): void {
  const voters = stay.filter(({ learner }) => !learner);
  const answering = voters.filter(({ answers }) => answers);
  const needed = Math.floor(voters.length / 2) + 1;
  if (answering.length >= needed) return;
  throw new WaymarkError(
    'conflict',
    `of the ${voters.length} members who stay ${answering.length} answer, and ${needed} are needed: start the others first, ` +
      'or take those out that are gone for good: `waymark cluster leave DIR --member NAME`',
  );
}
