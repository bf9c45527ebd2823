import type { ByteString, Clock, Engine } from 'waymark/engine';
import { type Delivery, DeliveryFailure } from '../endpoints/endpoint.js';
import { encodeRecord, type ProbeRecord } from './records.js';
import type { EndpointView } from './registry.js';

/**
 * Delivers a probe that somebody asked for, in its turn among the deliveries, and writes down what came of it: the one who asked watches the key, which
 * stands under a lease of its own.
 */
export async function answerProbe(
  { engine, clock }: { readonly engine: Engine; readonly clock: Clock },
  probe: {
    readonly key: ByteString;
    readonly endpoint: EndpointView;
    readonly stream: string;
    readonly fence: number;
  },
  deliver: (delivery: Delivery) => Promise<void>,
): Promise<void> {
  const began = clock.now();
  const { key, endpoint, stream, fence } = probe;
  const watchers = [...endpoint.watchers.keys()].toSorted();
  const id = `test.${key.slice(key.lastIndexOf('/') + 1)}`;
  const nowhere = { path: '/', revision: 0, sequence: '', previous: '' };
  const namespace = endpoint.watchers.values().next().value?.record.namespace ?? '';
  const event = { id, kind: 'test', namespace, watchers, ...nowhere } as const;
  const delivery = { id, stream, fence, attempt: 1, sentAt: clock.wallNow(), events: [event] };
  let error: string | null = null;
  try {
    await deliver(delivery);
  } catch (failed) {
    error = failed instanceof DeliveryFailure ? failed.message : 'the delivery failed';
  }
  const answer: ProbeRecord = { answered: true, error, tookMs: Math.round(clock.now() - began) };
  const put = { type: 'put', key, value: encodeRecord(answer), keepLease: true } as const;
  // Who asked has gone when the key is no more.
  const when = [{ key, target: 'version', is: '>', to: 0 }] as const;
  await engine.commit({ when, apply: [put] }).catch(() => undefined);
}
