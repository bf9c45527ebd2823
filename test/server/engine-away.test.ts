import { expect, test } from 'vitest';
import { withoutPassword } from 'waymark/engine';
import { startEtcd } from '../support/etcd.js';
import { serve } from './served.js';

test('readyz and metrics know when the engine is away, and the server lives on', async () => {
  const etcd = await startEtcd();
  try {
    const engine = `etcd://${etcd.address}/away?timeoutMs=2000`;
    const served = await serve({ engine });
    try {
      expect((await served.call('GET', '/readyz')).status).toBe(200);
      expect(await metrics(served.base)).toContain('waymark_engine_up 1');
      process.kill(etcd.pid, 'SIGSTOP');
      // The signal is on its way to a process of many threads: answers may still come after it.
      let ready = await served.call('GET', '/readyz');
      while (ready.status === 200) ready = await served.call('GET', '/readyz');
      expect([ready.status, ready.json['code']]).toEqual([503, 'unavailable']);
      expect((await served.call('GET', '/healthz')).status).toBe(200);
      const away = await metrics(served.base);
      expect(away).toContain('waymark_engine_up 0');
      expect(away).not.toMatch(/^waymark_revision /m);
      process.kill(etcd.pid, 'SIGCONT');
      await until(async () => (await served.call('GET', '/readyz')).status === 200);
      expect(await metrics(served.base)).toContain('waymark_engine_up 1');
    } finally {
      await served.server.close();
    }
  } finally {
    await etcd.stop();
  }
});

test.each([
  ['etcd://root:pw@a:1,b:2/r?owned', 'etcd://root:***@a:1,b:2/r?owned'],
  ['postgres://u:p%40@h/db?password=x&schema=s', 'postgres://u:***@h/db?password=***&schema=s'],
  ['etcd://a:2379/at@root', 'etcd://a:2379/at@root'],
  ['file:./a:b@c', 'file:./a:b@c'],
])('%s is shown without its password', (url, shown) => {
  expect(withoutPassword(url)).toBe(shown);
});

async function metrics(base: string): Promise<string> {
  return await (await fetch(`${base}/metrics`)).text();
}

/** The event is the answer itself: each is awaited. */
async function until(fact: () => Promise<boolean>): Promise<void> {
  while (!(await fact())) await new Promise((resolve) => setImmediate(resolve));
}
