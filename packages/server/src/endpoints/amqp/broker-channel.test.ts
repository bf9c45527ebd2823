import { EventEmitter } from 'node:events';
import type { ChannelModel } from 'amqplib';
import { expect, test } from 'vitest';
import { BrokerChannel } from './broker-channel.js';

type Confirm = (error: Error | null) => void;

test('[W3.1] a batch is accepted with its last confirm and none before, and refused with the first that is', async () => {
  const confirms: Confirm[] = [];
  const publish = (...[, , , , confirm]: [string, string, Buffer, object, Confirm]): void => {
    confirms.push(confirm);
  };
  const corks: string[] = [];
  const socket = {
    cork: () => corks.push(`corked before ${confirms.length}`),
    uncork: () => corks.push('uncorked'),
  };
  const model = {
    createConfirmChannel: async () =>
      Object.assign(new EventEmitter(), { publish, connection: { stream: socket } }),
  };
  const channel = await BrokerChannel.open(model as unknown as ChannelModel, async () => undefined);
  const messages = ['1', '2', '3'].map((messageId) => {
    return { exchange: '', key: 'q', content: Buffer.from('{}'), options: { messageId } };
  });
  const told: string[] = [];
  const accepted = channel.publish(messages).then(() => told.push('accepted'));
  expect(corks).toEqual(['corked before 0']);
  for (const confirm of confirms.splice(0)) {
    await new Promise(setImmediate);
    expect(told).toEqual([]);
    confirm(null);
  }
  await accepted;
  expect(corks).toEqual(['corked before 0', 'uncorked']);
  const refused = channel.publish(messages);
  confirms[1]?.(new Error('nack'));
  await expect(refused).rejects.toThrow('the broker refused the message');
});
