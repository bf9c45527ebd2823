import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { create, KV, PutRequestSchema, toBinary } from 'waymark/etcd';
import { ensureDebian } from '#services';
import { connectEtcdGrpc } from '../clients/etcd-grpc.js';
import { value100 } from './pace.js';
import { type Running, temporaryDirectory } from './processes.js';
import type { Sample } from './samples.js';

export interface H2loadCall {
  readonly streams: number;
  readonly seconds: number;
}

const key = '/bench/h2load';
/** Runs longer than this by far have hung. */
const patienceMs = 60_000;

/**
 * Unary Put by a client in C, over one connection. It looks at HTTP alone, so that every put was made is seen from the version of its key.
 */
export async function h2loadPut(
  { address }: Running,
  { streams, seconds }: H2loadCall,
): Promise<Sample> {
  ensureDebian(['nghttp2-client']);
  const directory = await temporaryDirectory('h2load');
  const body = join(directory, 'put');
  const put = create(PutRequestSchema, { key: Buffer.from(key), value: Buffer.from(value100) });
  const message = toBinary(PutRequestSchema, put);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  await writeFile(body, Buffer.concat([head, message]));
  const url = `${address.startsWith('http') ? address : `http://${address}`}/${KV.typeName}/Put`;
  const before = await versionOf(address);
  const flags = ['-c', '1', '-t', '1', '-m', String(streams), '-D', String(seconds), '-d', body];
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const { stdout } = await promisify(execFile)('h2load', [...flags, ...headers, url], {
    timeout: patienceMs,
  });
  const answered = Number(/(\d+) succeeded/.exec(stdout)?.[1]);
  const failed = Number(/(\d+) failed/.exec(stdout)?.[1]);
  const made = (await versionOf(address)) - before;
  // What was on its way when the time was over is made and not counted.
  if (failed > 0 || !(answered > 0) || made < answered || made > answered + streams) {
    throw new Error(`h2load: ${answered} answered, ${failed} failed, ${made} made\n${stdout}`);
  }
  return { value: answered / seconds };
}

async function versionOf(address: string): Promise<number> {
  const client = await connectEtcdGrpc(address);
  try {
    const answer = (await client.get?.(key)) as { kvs: { version: bigint }[] } | undefined;
    return Number(answer?.kvs[0]?.version ?? 0n);
  } finally {
    await client.close();
  }
}
