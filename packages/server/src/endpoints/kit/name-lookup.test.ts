import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HostsFile } from './hosts-file.js';
import { createNameLookup } from './name-lookup.js';

const noHosts = { addressesOf: () => Promise.resolve([]) };

/**
 * A name server on loopback: what begins with `silent` gets no answer, `no` does not exist, all else has 192.0.2.7. @param asked  told of every
 * question
 */
async function nameServer(asked: (name: string) => void = () => undefined, timeout = 60_000) {
  const resolvers: Resolver[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => {
    const name = nameIn(question);
    asked(name);
    if (name.startsWith('silent')) return;
    const a = question.readUInt16BE(question.indexOf(0, 12) + 1) === 1;
    const there = !name.startsWith('no');
    const head = Buffer.from(question.subarray(0, question.indexOf(0, 12) + 5));
    head.writeUInt16BE(there ? 0x8180 : 0x8183, 2);
    head.writeUInt16BE(there && a ? 1 : 0, 6);
    head.writeUInt32BE(0, 8);
    const answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 7];
    socket.send(
      Buffer.concat([head, Buffer.from(there && a ? answer : [])]),
      from.port,
      from.address,
    );
  });
  await once(socket.bind(0, '127.0.0.1'), 'listening');
  const { port } = socket.address();
  return {
    resolver: () => {
      const resolver = new Resolver({ timeout, tries: 1 });
      resolvers.push(resolver);
      resolver.setServers([`127.0.0.1:${port}`]);
      return resolver;
    },
    cancel: () => {
      for (const resolver of resolvers) resolver.cancel();
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

function nameIn(question: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; question[at] !== 0; at += 1 + (question[at] ?? 0))
    labels.push(question.toString('latin1', at + 1, at + 1 + (question[at] ?? 0)));
  return labels.join('.');
}

test('[W4.6] names whose servers are silent hold up neither others nor the machine', async () => {
  await using server = await nameServer();
  const machine: string[] = [];
  const system = (name: string) => Promise.resolve(machine.push(name) > 0 ? [] : []);
  const lookup = createNameLookup({ hosts: noHosts, resolver: server.resolver, system });
  let failed = 0;
  const silent = Array.from({ length: 50 }, async (_, n) => {
    const error: unknown = await lookup(`silent${n}.example`).catch((reason: unknown) => reason);
    failed += 1;
    return (error as { code?: string }).code;
  });
  for (let n = 0; n < 20; n++) {
    expect(await lookup(`well${n}.example`)).toEqual([{ address: '192.0.2.7', family: 4 }]);
  }
  expect(failed).toBe(0);
  server.cancel();
  expect(new Set(await Promise.all(silent))).toEqual(new Set(['ECANCELLED']));
  expect(machine).toEqual([]);
});

test('[W4.6] a name whose servers are silent fails in its own time, and the machine is not asked', async () => {
  await using server = await nameServer(() => undefined, 100);
  const machine: string[] = [];
  const system = (name: string) => Promise.resolve(machine.push(name) > 0 ? [] : []);
  const lookup = createNameLookup({ hosts: noHosts, resolver: server.resolver, system });
  await expect(lookup('silent.example')).rejects.toMatchObject({ code: 'ETIMEOUT' });
  expect(machine).toEqual([]);
});

test('[W4.6] what name servers do not know the machine is asked for: one name at a time, each once', async () => {
  await using server = await nameServer();
  const asked: string[] = [];
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const system = async (name: string) => {
    asked.push(name);
    await released;
    return [{ address: '192.0.2.9', family: 4 as const }];
  };
  const lookup = createNameLookup({ hosts: noHosts, resolver: server.resolver, system });
  const all = [lookup('no-a.example'), lookup('no-a.example'), lookup('no-b.example')];
  // All of them are answered by the name server by the time another name is.
  for (let n = 0; n < 5; n++) await lookup(`well${n}.example`);
  expect(asked).toHaveLength(1);
  release();
  for (const found of await Promise.all(all)) expect(found[0]?.address).toBe('192.0.2.9');
  expect(asked.toSorted()).toEqual(['no-a.example', 'no-b.example']);
});

test('[W4.6] a name of the hosts file is asked of nobody, and a change of the file counts at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-hosts-'));
  try {
    const questions: string[] = [];
    await using server = await nameServer((name) => questions.push(name));
    const path = join(folder, 'hosts');
    const lookup = createNameLookup({ hosts: new HostsFile(path), resolver: server.resolver });
    await writeFile(
      path,
      '# machines\n10.1.2.3 Inside.example inside # ours\n::1 inside\nno line\n',
    );
    expect(await lookup('inside.example')).toEqual([{ address: '10.1.2.3', family: 4 }]);
    expect(await lookup('inside')).toEqual([
      { address: '10.1.2.3', family: 4 },
      { address: '::1', family: 6 },
    ]);
    expect(questions).toEqual([]);
    await writeFile(path, '');
    expect(await lookup('inside.example')).toEqual([{ address: '192.0.2.7', family: 4 }]);
    await rm(path);
    expect(await lookup('inside.example')).toEqual([{ address: '192.0.2.7', family: 4 }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
