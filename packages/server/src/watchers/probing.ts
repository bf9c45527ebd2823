import {
  type CallOptions,
  type Clock,
  type Engine,
  type Random,
  type TestResult,
  WaymarkError,
} from 'waymark/engine';
import { endpointKey, probeKey } from './keys.js';
import { decodeRecord, encodeRecord, type ProbeRecord } from './records.js';

/** What a processor gets beside the time of the try itself: it may have to take the endpoint first. */
const turnMs = 10_000;

/**
 * Asks whoever holds the endpoint for a probe, and waits for what came of it. The probe goes with its lease, so who asks and vanishes leaves nothing.
 *
 * @throws {WaymarkError} `timeout` when no processor has answered by then
 */
export async function probe(
  {
    engine,
    clock,
    random,
  }: { readonly engine: Engine; readonly clock: Clock; readonly random: Random },
  { endpoint, timeoutMs }: { readonly endpoint: string; readonly timeoutMs: number },
  { signal }: CallOptions,
): Promise<TestResult> {
  const waitMs = timeoutMs + turnMs;
  const lease = await engine.grant(waitMs + turnMs, { signal });
  const key = probeKey(endpoint, random.id());
  const late = new AbortController();
  const disarm = clock.after(waitMs, () => late.abort(), true);
  const until = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
  const asked: ProbeRecord = { answered: false, error: null, tookMs: 0 };
  try {
    const { succeeded, revision } = await engine.commit(
      {
        when: [{ key: endpointKey(endpoint), target: 'version', is: '>', to: 0 }],
        apply: [{ type: 'put', key, value: encodeRecord(asked), lease: lease.id }],
      },
      { signal },
    );
    if (!succeeded) throw new WaymarkError('not_found', 'the watcher was removed meanwhile');
    const { error, tookMs } = await answerAt(engine, key, revision, until);
    return { accepted: error === null, tookMs, error };
  } catch (error) {
    signal?.throwIfAborted();
    if (!late.signal.aborted) throw error;
    const text = `no processor has delivered the probe within ${waitMs} ms: servers deliver, unless they run with --no-watchers`;
    throw new WaymarkError('timeout', text);
  } finally {
    disarm();
    await engine.revoke(lease.id).catch(() => undefined);
  }
}

async function answerAt(
  engine: Engine,
  key: string,
  after: number,
  signal: AbortSignal,
): Promise<ProbeRecord> {
  const watch = engine.watch([{ key }], { after, signal });
  for await (const { changes } of watch) {
    for (const { kind, entry } of changes) {
      if (kind !== 'put')
        throw new WaymarkError('not_found', 'the endpoint was unregistered meanwhile');
      const record = decodeRecord<ProbeRecord>(entry.value);
      if (record.answered) return record;
    }
  }
  throw new WaymarkError('unavailable', 'the watch of the answer ended');
}
