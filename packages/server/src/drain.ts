import type { FastifyInstance } from 'fastify';
import type { Clock } from 'waymark/engine';
import type { EtcdFace } from './etcd/face.js';
import { repeat } from './http/streams.js';
import type { Listener } from './listener.js';
import type { SocketFace } from './socket/face.js';

const drainMs = 8_000;
const idleSweepMs = 20;
const etcdGraceMs = 5_000;

export interface Drained {
  readonly app: FastifyInstance;
  readonly listener: Listener;
  readonly binary: SocketFace;
  readonly etcd: EtcdFace;
  readonly clock: Clock;
}

/** Calls under way finish; what has not by then is cut off. */
export async function drain({ app, listener, binary, etcd, clock }: Drained): Promise<void> {
  listener.stop();
  app.server.closeIdleConnections();
  // A stream that ends now leaves its connection idle only then.
  const still = repeat(clock, idleSweepMs, () => app.server.closeIdleConnections());
  const disarm = clock.after(drainMs, () => listener.destroy());
  await Promise.all([binary.drain(), etcd.drain(etcdGraceMs), listener.close()]);
  disarm();
  still();
  app.server.close();
  await app.close();
}
