import { expect, test } from 'vitest';
import { open } from 'waymark';
import { serve } from '../support/command.js';

test('[close] a space is closed within seconds over a server that stands still, and who waits is told at once', async () => {
  const { command, url } = await serve(['--engine', 'memory']);
  const holder = await open(url);
  const waiter = await open(url);
  try {
    await holder.namespace('n').lock('/a');
    const waiting = waiter.namespace('n').lock('/a');
    const asked = { mode: 'exclusive' } as const;
    while ((await holder.namespace('n').explain('/a', asked)).waiters.length === 0);
    command.child.kill('SIGSTOP');
    const began = performance.now();
    const closed = [waiter.close(), holder.close()];
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable' });
    expect(performance.now() - began).toBeLessThan(1_000);
    await Promise.all(closed);
    expect(performance.now() - began).toBeLessThan(9_000);
  } finally {
    command.child.kill('SIGCONT');
    await command.stop();
  }
});
