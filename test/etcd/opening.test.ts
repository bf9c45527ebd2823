import { once } from 'node:events';
import { connect } from 'node:net';
import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine, ForwardingEngine, WaymarkError } from 'waymark/engine';
import { expect, test } from 'vitest';

/** An engine that is away once somebody asks, and says so when told to. */
class Away extends ForwardingEngine {
  fail: () => void = () => {};
  #heard: () => void = () => {};
  readonly asked = new Promise<void>((resolve) => (this.#heard = resolve));

  override status(): Promise<never> {
    this.#heard();
    return new Promise((_, reject) => {
      this.fail = () => reject(new WaymarkError('unavailable', 'away'));
    });
  }
}

test('who connects while the engine is away is let go, and the server still closes', async () => {
  const engine = new Away(createMemoryEngine());
  const etcd = await startEtcd({ engine });
  const socket = connect(Number(etcd.address.split(':')[1]), '127.0.0.1');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await engine.asked;
  const closed = etcd.close();
  engine.fail();
  socket.resume();
  await once(socket, 'close');
  expect(await closed).toBe(undefined);
});
