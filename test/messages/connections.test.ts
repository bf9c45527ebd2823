import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { open } from 'waymark';
import { startCrew, startServers } from './processes.js';

const crews = 10;
const each = 10;
const rounds = 20;

/** Connections of these ports, as the kernel has them: those that were closed are seen for a minute more. A row that moves while they are read may be there twice. */
function connectionsOf(ports: ReadonlySet<number>): string[] {
  const [, ...rows] = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n');
  const listening = '0A';
  const shown = rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local = '', , state]) => ports.has(portOf(local)) && state !== listening)
    .map(([, local, remote]) => `${local} ${remote}`);
  return [...new Set(shown)].sort();
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}

async function connectionGauge(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text();
  return Number(/^waymark_binary_connections (\d+)$/m.exec(text)?.[1]);
}

test('[X8] 20 broadcasts to 100 members over two servers make no connection, and close none', async () => {
  const { child, urls } = await startServers(2);
  await using _servers = child;
  const started = Array.from({ length: crews }, (_, at) =>
    startCrew({
      url: urls[at % 2] as string,
      crew: `crew-${at}`,
      members: each,
      ttlMs: 30_000,
    }),
  );
  const all = await Promise.all(started);
  await using space = await open(urls[0] as string);
  const group = space.namespace('crews').members('/all');
  const sender = await group.join({ id: 'sender' });
  const delivered = async (body: number): Promise<number> => {
    let count = 0;
    for await (const { outcome } of sender.broadcast(body, { skipSelf: true }))
      if (outcome === 'delivered') count++;
    return count;
  };
  const gauges = (): Promise<number[]> => Promise.all(urls.map(connectionGauge));
  const ports = new Set(urls.map((url) => Number(new URL(url).port)));
  // The first connects the servers with each other.
  expect(await delivered(0)).toBe(crews * each);
  const openBefore = await gauges();
  expect(await delivered(0)).toBe(crews * each);
  // By its end the connections that were made to look are closed.
  const standing = openBefore.reduce((sum, open) => sum + open, 0);
  const before = connectionsOf(ports);
  for (let round = 1; round <= rounds; round++) expect(await delivered(round)).toBe(crews * each);
  expect(connectionsOf(ports)).toEqual(before);
  expect(await gauges()).toEqual(openBefore);
  // Two ends each for the crews, the sender, and one server at the other.
  expect(standing).toBe(crews + 1 + 1);
  for (const crew of all) await crew[Symbol.asyncDispose]();
});
