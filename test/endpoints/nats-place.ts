import { jetstreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import {
  type EndpointUnderTest,
  type Received,
  receivedBeside,
  receivedDocument,
  startGate,
} from '@waymark/server/testing';
import type { RunningNats } from '../support/nats.js';

/** A subject behind a gate, listened to by `eye`. @param stream  of JetStream, that keeps the subject; null for core NATS */
export async function natsPlace(
  nats: Pick<RunningNats, 'port'>,
  eye: NatsConnection,
  { subject, stream }: { readonly subject: string; readonly stream: string | null },
): Promise<EndpointUnderTest> {
  const gate = await startGate({ port: nats.port });
  const came = await heardBy(eye, `${subject}.>`);
  const query = stream === null ? '' : `?jetstream=${stream}`;
  const uri = `nats://waymark:CANARY-p4ss@127.0.0.1:${gate.port}/${subject}`;
  return {
    uri: `${uri}.at.{path}${query}`,
    sibling: `${uri}.other${query}`,
    secrets: ['CANARY-p4ss'],
    received: async () => {
      await eye.flush();
      return came.filter((one) => one.subject.includes('.at.')).map(receivedMessage);
    },
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: () => gate[Symbol.asyncDispose](),
  };
}

/** A stream of JetStream that keeps a subject and all below it. */
export async function addStream(
  eye: NatsConnection,
  { name, subject, ...more }: { readonly name: string; readonly subject: string },
): Promise<void> {
  const manager = await jetstreamManager(eye);
  await manager.streams.add({ name, subjects: [subject, `${subject}.>`], ...more });
}

/** What comes to a subject from now on. */
export async function heardBy(eye: NatsConnection, subject: string): Promise<Msg[]> {
  const came: Msg[] = [];
  eye.subscribe(subject, { callback: (_error, message) => void came.push(message) });
  await eye.flush();
  return came;
}

function receivedMessage(message: Msg): Received {
  if (message.headers?.has('Content-Type') === true) return receivedDocument(message.string());
  const header = (name: string): string | undefined => {
    const value = message.headers?.get(`ce-${name}`) ?? '';
    return value === '' ? undefined : decodeURIComponent(value);
  };
  return receivedBeside(header, header('datacontenttype') === undefined ? undefined : message.data);
}
