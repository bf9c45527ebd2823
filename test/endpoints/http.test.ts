import { test } from 'vitest';
import { httpKind } from '../../packages/server/src/endpoints/http/http-endpoint.js';
import {
  endpointSuite,
  type EndpointUnderTest,
  type Received,
  receivedBeside,
  receivedDocument,
  startGate,
} from '@waymark/server/testing';
import { createDialer } from '../../packages/server/src/endpoints/kit/guarded-dialer.js';
import { type HeardRequest, startHttpReceiver } from '../support/http-receiver.js';

const password = 'p@ss:w0rd/CANARY';

async function start(): Promise<EndpointUnderTest> {
  const receiver = await startHttpReceiver();
  const gate = await startGate({ port: receiver.port });
  const place = `http://user:${encodeURIComponent(password)}@127.0.0.1:${gate.port}`;
  return {
    uri: `${place}/hook?from=suite`,
    sibling: `${place}/other`,
    secrets: [password, encodeURIComponent(password), btoa(`user:${password}`)],
    received: async () => receiver.heard.flatMap(eventsOf),
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: async () => {
      await gate[Symbol.asyncDispose]();
      await receiver[Symbol.asyncDispose]();
    },
  };
}

function eventsOf({ headers, body }: HeardRequest): Received[] {
  const type = headers['content-type'];
  if (type === 'application/cloudevents+json; charset=utf-8') {
    return [receivedDocument(body.toString())];
  }
  if (type === 'application/cloudevents-batch+json; charset=utf-8') {
    return (JSON.parse(body.toString()) as object[]).map(receivedDocument);
  }
  const value = type === undefined ? undefined : body;
  return [receivedBeside((name) => decoded(headers[`ce-${name}`]), value)];
}

function decoded(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? decodeURIComponent(header) : undefined;
}

const secret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
const wrong = [
  { uri: 'http://', names: 'URI' },
  { uri: 'http://127.0.0.1:0/', names: 'port 0' },
  { uri: 'http://127.0.0.1:65536/', names: 'the port' },
  { uri: 'http://127.0.0.1:http/', names: 'URI' },
  { uri: 'http://u%zz@host/', names: 'user' },
  { uri: 'http://u:%zz@host/', names: 'password' },
  { uri: 'ftp://host/', names: 'ftp' },
  { uri: 'http://host/', settings: { secrets: ['CANARY'] }, names: /secret 1 .*whsec_/ },
  { uri: 'http://host/', settings: { secrets: [secret, 'whsec_c2hvcnQ='] }, names: /secret 2.*24/ },
  { uri: 'http://host/', settings: { secrets: ['whsk_c2hvcnQ='] }, names: /secret 1.*32 bytes/ },
];

/** Places on loopback are let through by the real guard. */
const dialer = createDialer({ allow: ['127.0.0.0/8'] });

for (const format of ['structured', 'binary'] as const) {
  const settings = { format, secrets: [secret] };
  const name = `http, ${format}`;
  endpointSuite({ test, name, kind: httpKind, settings, start, wrong, dialer });
}
