import type { Random } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import type { EtcdClient } from '../engines/etcd/etcd-client.js';
import { KV } from '../engines/etcd/gen/etcd_pb.js';
import { Layout, toBuffer } from '../engines/etcd/layout.js';
import type { Health } from './health.js';
import { clusterRoot } from './member-file.js';
import type { Supervisor } from './supervisor.js';

export interface RecoverOptions {
  readonly supervisor: Supervisor;
  readonly random: Random;
  readonly told: (message: string) => void;
  /** Whoever asks knows that the others are gone for good. */
  readonly yes: boolean;
  /** Called once nothing may be written any more until it is done. */
  readonly begun: () => void;
}

/** A machine that is merely busy must not be taken for a dead one. */
const patientMs = 5_000;
const startMs = 60_000;
const callMs = 10_000;
/**
 * A survivor may have missed the last moments before the loss: their revisions, which may be tokens of locks, are not given out again.
 * So many are several seconds of the busiest cluster that was measured.
 */
const skippedRevisions = 20_000;
const inFlight = 100;

/**
 * Makes a cluster of one of this member, with its data: what the others had decided and this one had not learnt is lost.
 *
 * Should the others come back, they find that this one has removed them, and end. Until they do, two clusters would take writes: so it is
 * refused while any of them is seen, and done only on someone's word that they are gone.
 *
 * @throws {WaymarkError} `conflict` while there is a majority, or another member answers, or without `yes`; `unavailable`
 */
export async function recover(options: RecoverOptions): Promise<void> {
  const { supervisor, told, yes, begun } = options;
  const health = await supervisor.ask(patientMs);
  if (supervisor.file.recovering && health.state === 'member') return await finishRecovery(options);
  refuseRecovery(health, supervisor.file.id, yes);
  told(
    `recovering: member ${supervisor.file.name} goes on alone. Writes that only the others had are lost, and so are the others`,
  );
  begun();
  supervisor.update({ recovering: true });
  await supervisor.restart(['--force-new-cluster']);
  await supervisor.ready(AbortSignal.timeout(startMs));
  await finishRecovery(options);
}

/** Also after a crash in the middle: until this is done nothing may be written. */
export async function finishRecovery(
  options: Pick<RecoverOptions, 'supervisor' | 'random' | 'told'>,
): Promise<void> {
  const { supervisor, random, told } = options;
  const layout = new Layout(clusterRoot);
  await supervisor.withClient(async (client) => {
    await skipRevisions(client, layout);
    await put(client, layout.identityKey, random.id());
  }, callMs);
  supervisor.update({ recovering: false });
  told('recovered: let other members join again, with tokens');
}

function refuseRecovery(
  { state, why, own, members }: Health,
  id: string | null,
  yes: boolean,
): void {
  if (state === 'member')
    throw new WaymarkError(
      'conflict',
      'a majority lives, and decides: there is nothing to recover',
    );
  if (state === 'removed' || state === 'left') throw new WaymarkError('superseded', why ?? state);
  if (state === 'learner')
    throw new WaymarkError(
      'conflict',
      'a member without a vote may have old data: recover another',
    );
  const others = members.filter((member) => member.id !== (own?.id ?? id));
  const seen = others.filter(({ answers }) => answers).map(({ name, id: other }) => name || other);
  if (seen.length > 0) {
    const text = `${seen.join(', ')} of the others still answer: end them for good first, or start the missing ones again`;
    throw new WaymarkError('conflict', text);
  }
  if (!members.some((member) => member.id === (own?.id ?? id) && member.answers))
    throw new WaymarkError('unavailable', why ?? 'etcd of this member does not answer');
  if (yes) return;
  throw new WaymarkError(
    'conflict',
    `none of the ${others.length} others answers. If they live and only cannot be reached from here, there will be two clusters that ` +
      'both take writes; what only they had is lost. Once they are ended for good, say so with --yes',
  );
}

async function skipRevisions(client: EtcdClient, layout: Layout): Promise<void> {
  const key = toBuffer(`${layout.root}/m/skipped`);
  const each = Math.ceil(skippedRevisions / inFlight);
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (let count = 0; count < each; count++) await put(client, key, String(skippedRevisions));
    }),
  );
}

async function put(client: EtcdClient, key: Buffer, text: string): Promise<void> {
  const value = { key, value: toBuffer(text) };
  // Sent twice it does the same.
  await client.call(
    KV.method.txn,
    { success: [{ request: { case: 'requestPut', value } }] },
    { kind: 'read' },
  );
}
