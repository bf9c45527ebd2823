import { afterAll, beforeAll, expect, test } from 'vitest';
import { codecs, type Members, type Message, open, type Space } from 'waymark';
import { type Answer, type Served, serve } from './served.js';

let served: Served;
let space: Space;
beforeAll(async () => {
  served = await serve();
  space = await open(served.base);
});
afterAll(async () => {
  await space.close();
  await served[Symbol.asyncDispose]();
});

const post = (path: string, body: string | Uint8Array = ''): Promise<Answer> =>
  served.call('POST', path, { body });
const groupOf = (path: string, namespace = 'default'): Members =>
  space.namespace(namespace, { codec: codecs.text }).members(path);
const linesOf = ({ text }: Answer): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const streams = async (): Promise<number> => {
  const { text } = await served.call('GET', '/metrics');
  return Number(/^waymark_watch_streams (\d+)/m.exec(text)?.[1]);
};

test('[groups] send reaches the leader under its term, and to one member; the reply comes back byte for byte', async () => {
  const handle = ({ from, guest, kind, term, body }: Message): string =>
    [from, guest, kind, term !== null, body].join(' ');
  const group = groupOf('/deep/group');
  await group.join({ id: 'led', lead: true, handle });
  await group.join({ id: 'other', handle });
  const sent = await post('/v1/groups/deep/group/send?deadline=30s', 'hello');
  const value = 'http true send true hello';
  expect(sent.status).toBe(200);
  expect(sent.json).toEqual({
    outcome: 'delivered',
    member: 'led',
    value,
    base64: Buffer.from(value).toString('base64'),
  });
  const one = await post('/v1/ns/default/groups/deep/group/send?to=other&owner=me', 'hi');
  expect(one.json).toMatchObject({ member: 'other', value: 'me true send false hi' });
  const elsewhere = await post('/v1/ns/n/groups/deep/group/send?to=other&deadline=50ms', 'hi');
  expect(elsewhere.json).toMatchObject({ status: 503, code: 'unavailable', seen: false });
});

test('[groups] bytes that are no text pass in both directions', async () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
  const handle = ({ body }: Message): unknown => (body as Uint8Array).toReversed();
  await space
    .namespace('default', { codec: codecs.bytes })
    .members('/bytes')
    .join({ id: 'b', handle });
  const { json } = await post('/v1/groups/bytes/send?to=b', bytes);
  expect(json).toEqual({
    outcome: 'delivered',
    member: 'b',
    base64: Buffer.from(bytes.toReversed()).toString('base64'),
  });
});

test('[groups] what was not delivered is told by status: refused by a handler, by nobody, or unknown', async () => {
  let finish = (): void => {};
  const handle = async ({ body }: Message): Promise<void> => {
    if (body === 'no') throw new Error('not today');
    await new Promise<void>((resolve) => (finish = resolve));
  };
  await groupOf('/fate').join({ id: 'm', handle });
  const at = '/v1/groups/fate/send';
  expect((await post(`${at}?to=m`, 'no')).json).toMatchObject({
    status: 424,
    code: 'failed',
    outcome: 'refused',
    member: 'm',
    seen: true,
    detail: 'not today',
  });
  const leaderless = await post(`${at}?deadline=50ms`, 'x');
  expect(leaderless.json).toMatchObject({ status: 503, outcome: 'refused', seen: false });
  const hung = await post(`${at}?to=m&deadline=50ms`, 'hang');
  expect(hung.json).toMatchObject({ status: 504, code: 'uncertain', outcome: 'unknown' });
  finish();
});

test('[groups] broadcast streams one line per member as they come', async () => {
  let finish = (): void => {};
  const slow = async (): Promise<string> => {
    await new Promise<void>((resolve) => (finish = resolve));
    return 'slow';
  };
  const group = groupOf('/all');
  await group.join({ id: 'fast', handle: () => 'fast' });
  await group.join({ id: 'slow', handle: slow });
  await group.join({ id: 'deaf' });
  const response = await fetch(`${served.base}/v1/groups/all/broadcast`, { method: 'POST' });
  expect(response.headers.get('content-type')).toBe('application/x-ndjson');
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let text = '';
  const read = async (until: (lines: number) => boolean): Promise<void> => {
    while (!until(text.split('\n').length - 1)) {
      const { done, value } = await reader.read();
      if (done) return;
      text += Buffer.from(value).toString();
    }
  };
  await read((lines) => lines === 2);
  expect(text).not.toContain('slow');
  finish();
  await read(() => false);
  const lines = linesOf({ text } as Answer);
  expect(lines.map(({ member }) => member).sort()).toEqual(['deaf', 'fast', 'slow']);
  expect(lines.find(({ member }) => member === 'deaf')).toEqual({
    outcome: 'refused',
    member: 'deaf',
    seen: false,
    why: 'deaf takes no messages in /all',
  });
  const some = await post('/v1/groups/all/broadcast?only=fast&only=gone');
  expect(
    linesOf(some)
      .map(({ member, outcome }) => [member, outcome])
      .sort(),
  ).toEqual([
    ['fast', 'delivered'],
    ['gone', 'refused'],
  ]);
  expect(linesOf(await post('/v1/groups/all/broadcast?only=fast'))).toMatchObject([
    { member: 'fast', value: 'fast' },
  ]);
  expect(linesOf(await post('/v1/groups/nobody/broadcast'))).toEqual([]);
});

test('[groups] a client that goes ends the waiting, of send and of broadcast', async () => {
  const seen: unknown[] = [];
  const ends: (() => void)[] = [];
  let heard = (): void => {};
  const handle = async ({ body }: Message): Promise<void> => {
    seen.push(body);
    heard();
    await new Promise<void>((resolve) => ends.push(resolve));
  };
  await groupOf('/gone').join({ id: 'm', handle });
  const before = await streams();
  for (const verb of ['send?to=m', 'send?deadline=10m', 'broadcast']) {
    const gone = new AbortController();
    const begun = new Promise<void>((resolve) => (heard = resolve));
    const url = `${served.base}/v1/groups/gone/${verb}`;
    const call = fetch(url, { method: 'POST', body: verb, signal: gone.signal });
    const ended = call.then(
      () => 'answered',
      () => 'gone',
    );
    if (verb !== 'send?deadline=10m') await begun;
    else while ((await streams()) === before);
    expect(await streams(), verb).toBe(before + 1);
    gone.abort();
    expect(await ended).toBe('gone');
    const late = AbortSignal.timeout(5_000);
    while ((await streams()) > before) late.throwIfAborted();
  }
  expect(seen).toEqual(['send?to=m', 'broadcast']);
  for (const end of ends) end();
});

test.each([
  ['send', new Uint8Array(1_048_577), 'too_large'],
  ['broadcast', new Uint8Array(1_048_577), 'too_large'],
  ['send', new Uint8Array(1_400_000), 'too_large'],
  ['send?deadline=11m', 'x', 'invalid'],
  ['send?deadline=0', 'x', 'invalid'],
  ['broadcast?deadline=soon', 'x', 'invalid'],
  ['send?to=', 'x', 'invalid'],
  ['send?to=a&to=b', 'x', 'invalid'],
  [`send?to=${'x'.repeat(129)}`, 'x', 'too_large'],
  ['broadcast?only=', 'x', 'invalid'],
  [`broadcast?only=a&only=${'x'.repeat(129)}`, 'x', 'too_large'],
  [`send?owner=${'x'.repeat(257)}`, 'x', 'invalid'],
  ['send?owner=%00', 'x', 'invalid'],
  ['other', 'x', 'not_found'],
])('[groups] %s is refused: %#', async (verb, body, code) => {
  for (const at of ['/v1/groups/bad', '/v1/ns/n/groups/bad']) {
    expect((await post(`${at}/${verb}`, body)).json['code'], at).toBe(code);
  }
});

test('[groups] the root is a group, and paths are checked', async () => {
  await groupOf('/').join({ id: 'root', handle: () => 'root' });
  for (const at of ['/v1/groups/send', '/v1/ns/default/groups/send']) {
    expect((await post(`${at}?to=root`)).json['value']).toBe('root');
  }
  await groupOf('/a/send').join({ id: 'odd', handle: () => 'odd' });
  expect((await post('/v1/groups/a/send/send?to=odd')).json['value']).toBe('odd');
  for (const bad of ['a%2Fb', 'a//b', '%00', '%ff']) {
    expect((await post(`/v1/groups/${bad}/send`)).json['code'], bad).toBe('invalid');
  }
});
