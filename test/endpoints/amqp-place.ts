import {
  type EndpointUnderTest,
  type Received,
  receivedBeside,
  receivedDocument,
  startGate,
} from '@waymark/server/testing';
import type { Channel, GetMessage } from 'amqplib';
import type { RunningRabbit } from '../support/rabbitmq.js';

/** A fresh queue behind a gate. @param channel  that the queue is looked at by */
export async function amqpPlace(
  rabbit: Pick<RunningRabbit, 'port'>,
  channel: Channel,
  queue: string,
): Promise<EndpointUnderTest> {
  const gate = await startGate({ port: rabbit.port });
  await channel.assertQueue(queue, { durable: true });
  const came: GetMessage[] = [];
  const uri = `amqp://waymark:CANARY-p4ss@127.0.0.1:${gate.port}?queue=`;
  return {
    uri: `${uri}${queue}`,
    sibling: `${uri}${queue}.other`,
    secrets: ['CANARY-p4ss'],
    received: async () => {
      came.push(...(await takenFrom(channel, queue)));
      return came.map(receivedMessage);
    },
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: () => gate[Symbol.asyncDispose](),
  };
}

export async function takenFrom(channel: Channel, queue: string): Promise<GetMessage[]> {
  const came: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return came;
    came.push(message);
  }
}

function receivedMessage(message: GetMessage): Received {
  const { headers = {}, contentType } = message.properties;
  if (headers['cloudEvents:id'] === undefined) return receivedDocument(message.content.toString());
  const value = contentType === undefined ? undefined : message.content;
  return receivedBeside((name) => headers[`cloudEvents:${name}`] as string | undefined, value);
}
