import { expect, test } from 'vitest';
import type { Host } from '../core/host.js';
import { systemClock, systemRandom } from '../core/system-clock.js';
import { formatListener } from '../recipes/listener-address.js';
import { deliver, leave, open, reply, take } from '../recipes/messages.js';
import { Courier } from './courier.js';
import { ListenerBox } from './listener-box.js';

const stay = { group: '/g', member: 'm', lease: 1 };

/** A space in which one member is noted, wherever that is now. */
class Noted {
  reads = 0;
  value = '';
  readonly host = {
    read: async () => {
      this.reads++;
      return { revision: 1, count: 1, more: false, entries: [{ value: this.value }] };
    },
    run: async () => true,
  } as unknown as Host;

  async box(name: string): Promise<ListenerBox> {
    const address = { at: 'member://127.0.0.1:1', box: name.repeat(20) };
    const shared = { clock: systemClock, random: systemRandom, namespace: 'n', token: undefined };
    const box = new ListenerBox({ ...shared, host: this.host, address, close: async () => {} });
    await box.run(open, '', stay);
    this.value = formatListener(address);
    return box;
  }
}

/** Answers what waits there. @returns the bodies, in their order */
async function handled(box: ListenerBox): Promise<string[]> {
  const messages = await box.run(take, '', { ...stay, answers: [] });
  const answers = messages.map(({ id }) => ({ id, taken: true, seen: true, body: '', why: '' }));
  await box.run(reply, '', { ...stay, answers });
  return messages.map(({ body }) => body);
}

function sender(noted: Noted) {
  const courier = new Courier(noted.host, systemClock, systemRandom);
  const rest = {
    from: 'test',
    guest: false,
    kind: 'send',
    term: undefined,
    deadlineMs: 5_000,
  } as const;
  const send = (body: string) =>
    courier.deliver('n', { ...stay, ...rest, body }, { token: undefined, withinMs: 6_000 });
  return { courier, send };
}

test('[X20] where a member listens is read once, and not for every message', async () => {
  const noted = new Noted();
  const box = await noted.box('a');
  const { send } = sender(noted);
  for (let round = 0; round < 3; round++) {
    const sent = Promise.all([send('1'), send('2'), send('3')]);
    expect(await handled(box)).toEqual(['1', '2', '3']);
    expect((await sent).map(({ outcome }) => outcome)).toEqual([
      'delivered',
      'delivered',
      'delivered',
    ]);
  }
  expect(noted.reads).toBe(1);
  await box.close();
});

test('[X24] a message that finds its member gone is brought to where it is now, never past others under way', async () => {
  const noted = new Noted();
  const first = await noted.box('a');
  const { send } = sender(noted);
  const sent = send('1');
  await handled(first);
  expect((await sent).outcome).toBe('delivered');

  await first.run(leave, '', stay);
  const second = await noted.box('b');
  const moved = send('2');
  expect(await handled(second)).toEqual(['2']);
  expect((await moved).outcome).toBe('delivered');

  await second.run(leave, '', stay);
  const third = await noted.box('c');
  const several = [send('3'), send('4')];
  const late = several.map((one) => one.then(({ outcome, seen }) => `${outcome} ${seen}`));
  expect(await handled(third)).toEqual(['4']);
  expect(await Promise.all(late)).toEqual(['refused false', 'delivered true']);
  for (const box of [first, second, third]) await box.close();
});

test('[X24] who takes no messages is refused in the words of whoever was asked last, and forgotten', async () => {
  const noted = new Noted();
  const box = await noted.box('a');
  const { send } = sender(noted);
  await box.run(leave, '', stay);
  expect(await send('1')).toMatchObject({ outcome: 'refused', seen: false });
  expect(noted.reads).toBe(2);
  await send('2');
  expect(noted.reads).toBe(3);
  await box.close();
  // Now only by a connection, and nobody is there.
  expect(await send('3')).toMatchObject({ outcome: 'refused', seen: false });
});

test('[X5] a look that fails is the message’s error, and the next message looks anew', async () => {
  const noted = new Noted();
  const box = await noted.box('a');
  const { send } = sender(noted);
  const { read } = noted.host;
  noted.host.read = () => Promise.reject(new Error('cut off'));
  await expect(send('1')).rejects.toThrow('cut off');
  noted.host.read = read;
  const sent = send('2');
  expect(await handled(box)).toEqual(['2']);
  expect((await sent).outcome).toBe('delivered');
  await box.close();
});

test('[X21] a box of this process asks for its token as one of another does', async () => {
  const noted = new Noted();
  const address = { at: 'member://127.0.0.1:1', box: 'd'.repeat(20) };
  const shared = { clock: systemClock, random: systemRandom, namespace: 'n', token: 'shared' };
  const box = new ListenerBox({ ...shared, host: noted.host, address, close: async () => {} });
  await box.run(open, '', stay);
  noted.value = formatListener(address);
  const { send } = sender(noted);
  expect(await send('1')).toMatchObject({ outcome: 'refused', seen: false });
  const args = {
    ...stay,
    from: 'x',
    guest: false,
    kind: 'send',
    term: undefined,
    body: '',
    deadlineMs: 10,
  } as const;
  // Who relays has shown it to the listener.
  const relayed = box.run(deliver, '', { ...args, relayed: true });
  expect(await relayed).toMatchObject({ outcome: 'refused', why: 'no answer within 10 ms' });
  await box.close();
});
