import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ServerProcess } from '../faults/server-process.js';
import { atMostTwice, GoodClients } from './good-clients.js';

const port = ({ url }: ServerProcess): number => Number(new URL(url).port);

function opened(to: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(to, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
    socket.on('error', () => undefined).resume();
  });
}

/** A few at once: a machine's queue of connections is short. */
async function openedMany(to: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Math.min(200, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: some }, () => opened(to)))));
  }
  return sockets;
}

/** What may be open at once here, with a reserve for all else. */
function socketsMax(): number {
  const [, most] =
    /^Max open files +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return most === 'unlimited' ? Infinity : Number(most) - 1_000;
}

/** One head that does not end, one body, one handshake of the binary protocol, one of HTTP/2: what each begins with, and goes on with. */
const slow = [
  ['GET /v1/ns/a/keys/x HTTP/1.1\r\nHost: localhost\r\n', 'X-A: b\r\n'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', ''],
  ['GET /v1/ns/a/keys/x HTTP/1.1\r\nHost: localhost\r\nX-Long: ', 'x'],
  ['P', ''],
] as const;

test('[limits] 2 000 sockets that say little: good clients wait at most twice as long, and the sockets are closed within 15 s', async () => {
  await using server = await ServerProcess.start('memory');
  using good = new GoodClients(server.url);
  await good.ask(1_000);
  const before = await good.askRounds(4, 500);
  const count = Math.min(2_000, socketsMax());
  const sockets = await openedMany(port(server), count);
  const began = performance.now();
  let open = sockets.length;
  let lastMs = 0;
  for (const [n, socket] of sockets.entries()) {
    socket.write(slow[n % slow.length]?.[0] ?? '');
    socket.once('close', () => {
      open--;
      lastMs = performance.now() - began;
    });
  }
  // Each says a little every second, in turn: none of them is silent.
  let turn = 0;
  const dribble = setInterval(() => {
    for (let n = 0; n < count / 100; n++, turn++) {
      const socket = sockets[turn % count] as Socket;
      if (socket.writable) socket.write(slow[(turn % count) % slow.length]?.[1] ?? '');
    }
  }, 10);
  const during = await good.askRounds(4, 500);
  const stillOpen = open;
  while (open > 0 && performance.now() - began < 20_000) await good.ask(40);
  clearInterval(dribble);
  console.log(
    `slowloris: ${count} sockets, p99 ${before.p99.toFixed(1)} ms before, ${during.p99.toFixed(1)} ms with ${stillOpen} of them; the last closed after ${Math.round(lastMs)} ms`,
  );
  expect(stillOpen, 'they were there when it was measured').toBeGreaterThan(count / 2);
  expect(during.p99).toBeLessThanOrEqual(atMostTwice(before));
  expect(open).toBe(0);
  expect(lastMs).toBeLessThanOrEqual(15_000);
});

test('[limits] 8 000 connections: those that are served wait at most twice as long', async () => {
  await using server = await ServerProcess.start('memory');
  using good = new GoodClients(server.url);
  await good.ask(1_000);
  const before = await good.askRounds(4, 500);
  const count = Math.min(8_000, socketsMax());
  const sockets = await openedMany(port(server), count);
  // Each has asked something, and may ask again: none of them is silent.
  for (const socket of sockets) socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await good.ask(400);
  const during = await good.askRounds(4, 500);
  const served = sockets.filter((socket) => !socket.destroyed && socket.bytesRead > 0).length;
  console.log(
    `connections: ${served} of ${count} open, p99 ${before.p99.toFixed(1)} ms before, ${during.p99.toFixed(1)} ms with them`,
  );
  for (const socket of sockets) socket.destroy();
  expect(served).toBe(count);
  expect(during.p99).toBeLessThanOrEqual(atMostTwice(before));
});
