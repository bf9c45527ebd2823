import {
  Auth,
  type DescMessage,
  Lease,
  type MessageInitShape,
  type MessageShape,
  type PermissionSchema,
  Watch,
} from 'waymark/etcd';
import type { StartAnEtcd, Started } from './each-etcd.js';
import { EtcdApi, type TypedMethod } from './client.js';
import { bytes } from './keys.js';

/** `ok`, or the status: `7 etcdserver: permission denied`. */
export type Answer = string;

export type PermissionInit = MessageInitShape<typeof PermissionSchema>;

/** By etcd's numbers. */
export const permType = { read: 0, write: 1, readwrite: 2 } as const;

/** From a key to another, to the end of all keys (`''`), or the key alone. */
export function permission(kind: keyof typeof permType, key: string, end?: string): PermissionInit {
  const rangeEnd = end === undefined ? '' : end === '' ? '\0' : end;
  return { permType: permType[kind], key: bytes(key), rangeEnd: bytes(rangeEnd) };
}

export async function answer<I extends DescMessage, O extends DescMessage>(
  api: EtcdApi,
  method: TypedMethod<I, O>,
  request: MessageInitShape<I>,
): Promise<Answer> {
  const refusal = await api.refusal(method, request);
  return refusal === null ? 'ok' : `${refusal.code} ${refusal.text}`;
}

/** An etcd with users: each named after what it may do. */
export class AuthWorld implements AsyncDisposable {
  readonly etcd: Started;
  readonly nobody: EtcdApi;
  /** Whoever has logged in. */
  readonly #apis: EtcdApi[] = [];

  private constructor(etcd: Started) {
    this.etcd = etcd;
    this.nobody = this.client();
  }

  static async start(start: StartAnEtcd): Promise<AuthWorld> {
    return new AuthWorld(await start());
  }

  client(metadata: Readonly<Record<string, string>> = {}): EtcdApi {
    const api = new EtcdApi(this.etcd.address, metadata);
    this.#apis.push(api);
    return api;
  }

  /** Adds the user with a role of the same name. Its password is its name. */
  async addUser(name: string, permissions: readonly PermissionInit[]): Promise<void> {
    const { nobody } = this;
    await nobody.call(Auth.method.userAdd, { name, password: name });
    await nobody.call(Auth.method.roleAdd, { name });
    for (const perm of permissions) {
      await nobody.call(Auth.method.roleGrantPermission, { name, perm });
    }
    await nobody.call(Auth.method.userGrantRole, { user: name, role: name });
  }

  /** @returns the root user */
  async enable(): Promise<EtcdApi> {
    await this.addUser('root', []);
    await this.nobody.call(Auth.method.authEnable, {});
    return await this.logIn('root');
  }

  async token(name: string, password = name): Promise<string> {
    return (await this.nobody.call(Auth.method.authenticate, { name, password })).token;
  }

  async logIn(name: string, password = name): Promise<EtcdApi> {
    return this.client({ token: await this.token(name, password) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const api of this.#apis) api[Symbol.dispose]();
    await this.etcd.stop();
  }
}

/** `created`, or why it was not. */
export function watchAnswer(
  api: EtcdApi,
  create: { key: Buffer; rangeEnd?: Buffer },
): Promise<Answer> {
  return firstOf(api, Watch.method.watch, (stream) => {
    stream.write({ requestUnion: { case: 'createRequest', value: create } });
  }).then((said) => {
    if (typeof said === 'string') return said;
    return said.canceled ? `${said.watchId} ${said.cancelReason}` : 'created';
  });
}

export function keepAliveAnswer(api: EtcdApi, id: bigint): Promise<Answer> {
  return firstOf(api, Lease.method.leaseKeepAlive, (stream) => stream.write({ ID: id })).then(
    (said) => (typeof said === 'string' ? said : 'ok'),
  );
}

/** The first message of a stream, or its status. */
export function firstOf<I extends DescMessage, O extends DescMessage>(
  api: EtcdApi,
  method: TypedMethod<I, O>,
  begin: (stream: ReturnType<typeof api.stream<I, O>>) => unknown,
): Promise<MessageShape<O> | string> {
  const stream = api.stream(method);
  return new Promise<MessageShape<O> | string>((resolve) => {
    stream.once('data', resolve);
    stream.on('error', ({ code, details }: Error & { code: number; details: string }) =>
      resolve(`${code} ${details}`),
    );
    begin(stream);
  }).finally(() => stream.cancel());
}
