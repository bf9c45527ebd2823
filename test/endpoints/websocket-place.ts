import {
  type EndpointUnderTest,
  type Received,
  receivedDocument,
  startGate,
} from '@waymark/server/testing';
import {
  createSocketReceiver,
  type SocketDelivery,
  type SocketSink,
  type StreamPosition,
} from 'waymark/receiver';
import { startWebSocketReceiver } from '../support/websocket.js';

export const password = 'p@ss:w0rd/CANARY';

/** Keeps all in memory, as one step. */
export class MemorySink implements SocketSink {
  readonly applied: SocketDelivery[] = [];
  readonly positions = new Map<string, StreamPosition>();
  outcome: (delivery: SocketDelivery) => ReturnType<SocketSink['apply']> = async () => {};

  position(stream: string): StreamPosition | null {
    return this.positions.get(stream) ?? null;
  }

  async apply(delivery: SocketDelivery): ReturnType<SocketSink['apply']> {
    const outcome = await this.outcome(delivery);
    if (outcome !== undefined) return outcome;
    const { stream, last, fence } = delivery;
    this.positions.set(stream, { last, fence });
    this.applied.push(delivery);
    return undefined;
  }

  get received(): Received[] {
    return this.applied.flatMap(({ events }) => events.map(receivedDocument));
  }
}

/** A receiver of the package waymark behind a gate, that keeps all in memory. */
export async function websocketPlace(): Promise<EndpointUnderTest> {
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  const receiver = await startWebSocketReceiver((socket) => void serve(socket));
  const gate = await startGate({ port: receiver.port });
  return {
    uri: `ws://user:${encodeURIComponent(password)}@127.0.0.1:${gate.port}/hook?from=suite`,
    secrets: [password, encodeURIComponent(password), btoa(`user:${password}`)],
    received: async () => sink.received,
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: async () => {
      await gate[Symbol.asyncDispose]();
      await receiver[Symbol.asyncDispose]();
    },
  };
}
