import { createServer } from 'node:net';

/** Those below are too likely somebody's own; from 20 000 on `waymark cluster init` and `join` take them for a member's etcd, which listens later. */
const ports = { first: 12_000, last: 19_999 };
/** Test files run beside each other in workers, each with ports of its own: what one was told is free another would take meanwhile. */
const lanes = 8;
const perLane = Math.floor((ports.last - ports.first + 1) / lanes);
let next = Math.floor(Math.random() * perLane);

/**
 * A port that stays free while its user is killed and started again, since no connection that goes out is given it (Linux gives those from
 * 32 768 on, unless told otherwise), as it might be one of `listen(0)`.
 */
export async function freePort(): Promise<number> {
  const lane = Number(process.env['VITEST_POOL_ID'] ?? 0) % lanes;
  for (let tries = 0; tries < perLane; tries++) {
    const port = ports.first + (next++ % perLane) * lanes + lane;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${ports.first} to ${ports.last} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
