import { type Membership, open } from 'waymark';

/** A process with several members of a group. Told a number, that member leaves, or joins again when it had left. */
export interface CrewTask {
  readonly url: string;
  readonly crew: string;
  readonly members: number;
  readonly ttlMs: number;
}

const task = JSON.parse(process.argv[2] ?? '{}') as CrewTask;
process.once('disconnect', () => process.exit());
const space = await open(task.url, { owner: task.crew });
const group = space.namespace('crews').members('/all');
const present = new Map<number, Membership>();

async function join(member: number): Promise<void> {
  const id = `${task.crew}-${member}`;
  const handle = ({ body }: { readonly body: unknown }): string => `${id} ${String(body)}`;
  present.set(member, await group.join({ id, ttlMs: task.ttlMs, handle }));
}

async function toggle(member: number): Promise<void> {
  const membership = present.get(member);
  present.delete(member);
  // Who lost it, on a machine that stood still, joins anew as well.
  if (membership === undefined || !(await membership.release())) await join(member);
}

for (let member = 0; member < task.members; member++) await join(member);
process.on('message', (member: number) => {
  void toggle(member).then(() => process.send?.(member));
});
process.send?.('ready');
