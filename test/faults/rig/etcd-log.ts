import { createInterface } from 'node:readline';
import type { LoggedChange } from 'waymark/testing';
import type { EtcdCluster, Member } from './etcd-cluster.js';
import { endProcess } from './namespaces.js';

export interface LogCall {
  readonly namespace: string;
  /** The first revision is beyond this one. */
  readonly after: number;
  readonly last: number;
}

interface Response {
  readonly Events?: readonly {
    /** 1 for a delete; absent for a put. */
    readonly type?: number;
    readonly kv: {
      readonly key: string;
      readonly value?: string;
      readonly mod_revision: number;
      readonly create_revision?: number;
      readonly version?: number;
    };
  }[];
}

/** What a namespace went through, as etcd itself tells it: by etcdctl, with nothing of ours in between. */
export async function readLog(etcd: EtcdCluster, call: LogCall): Promise<LoggedChange[]> {
  const [{ host }] = etcd.members as readonly [Member, ...Member[]];
  const prefix = `rig/d/n/${call.namespace}/d`;
  const watch = ['watch', '--prefix', prefix, `--rev=${call.after + 1}`, '-w', 'json'];
  const child = host.spawn(etcd.ctlCommand(watch), { stdio: ['ignore', 'pipe', 'inherit'] });
  const changes: LoggedChange[] = [];
  try {
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      for (const { type, kv } of (JSON.parse(line) as Response).Events ?? []) {
        const key = text(kv.key).slice(prefix.length);
        const { mod_revision: revision, create_revision: createRevision = 0, version = 0 } = kv;
        if (type === 1) changes.push({ revision, key, kind: 'delete', ...nothing });
        else {
          const value = JSON.parse(text(kv.value ?? '')) as string;
          changes.push({ revision, key, kind: 'put', value, version, createRevision });
        }
      }
      if ((changes.at(-1)?.revision ?? 0) >= call.last) break;
    }
  } finally {
    await endProcess(child, 'SIGKILL');
  }
  return changes;
}

/** What stands below a prefix of etcd's keys, by key. */
export async function readValues(
  etcd: EtcdCluster,
  prefix: string,
): Promise<ReadonlyMap<string, string>> {
  const [member] = etcd.members as readonly [Member, ...Member[]];
  const said = await etcd.ctl(member, ['get', '--prefix', prefix, '-w', 'json']);
  const { kvs = [] } = JSON.parse(said) as { kvs?: { key: string; value?: string }[] };
  return new Map(kvs.map(({ key, value = '' }) => [text(key), text(value)]));
}

const nothing = { value: '', version: 0, createRevision: 0 };

function text(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}
