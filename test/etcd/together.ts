import { startEtcd } from '@waymark/server/testing';
import { codecs, type Namespace } from 'waymark';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  systemClock,
  systemRandom,
} from 'waymark/engine';
import { EtcdApi } from './client.js';

/** The library and clients of etcd's API on one engine: the namespace `etcd` is the same for both. */
export async function together(): Promise<
  AsyncDisposable & { api: EtcdApi; ns: Namespace<string> }
> {
  const engine = createMemoryEngine();
  const etcd = await startEtcd({ engine });
  const host = createLocalHost(engine);
  const space = createSpace(host, {
    clock: systemClock,
    random: systemRandom,
    owner: 'the library',
  });
  const api = new EtcdApi(etcd.address);
  return {
    api,
    ns: space.namespace('etcd', { codec: codecs.text }),
    async [Symbol.asyncDispose]() {
      api[Symbol.dispose]();
      await etcd.close();
      await space.close();
      await engine[Symbol.asyncDispose]();
    },
  };
}
