import {
  deliveryOf,
  type DeliveredEvent,
  type Endpoint,
  type EndpointKind,
  type EndpointSettings,
  eventAt,
  failureOf,
  newStream,
  plainDialer,
  sequenceAt,
  SharedConnections,
} from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { type Ending, type StatementGate, statementGate } from '../support/statement-gate.js';
import { givenTable, rowsOf, type SqlServer } from './sql-place.js';

export interface SqlUnderTest {
  readonly name: string;
  readonly kind: EndpointKind;
  readonly server: SqlServer;
}

const binary: EndpointSettings = { format: 'binary', secrets: [], timeoutMs: 20_000 };

/** An endpoint with connections of its own, as in a process of its own. */
export function openAt(
  kind: EndpointKind,
  uri: string,
  settings: Partial<EndpointSettings> = {},
): Endpoint {
  const all = { ...binary, ...settings };
  const tools = {
    dialer: plainDialer(),
    connections: new SharedConnections(),
    wallNow: () => Date.now(),
  };
  return kind.open(kind.parse(uri, all), all, tools);
}

export const soon = (): AbortSignal => AbortSignal.timeout(30_000);

const eventsAt = (first: number, count: number): DeliveredEvent[] =>
  Array.from({ length: count }, (_, at) => eventAt(first + at));

const sequencesTo = (last: number): string[] =>
  Array.from({ length: last }, (_, at) => sequenceAt(at + 1));

/** Statements of a page, one by one. */
export function sqlOf(page: string): string[] {
  const blocks = [...page.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
  const statements = blocks.flatMap((text) => text.split(/;\s*$/m));
  return statements.map((text) => text.trim()).filter((text) => text.startsWith('create table'));
}

/** What both databases hold beside endpointSuite. */
export function sqlCases({ name, kind, server }: SqlUnderTest): void {
  const uriOf = (table: string, port = server.port): string => `${server.url(port)}/${table}`;
  const at = (table: string, gate: StatementGate): Endpoint =>
    openAt(kind, uriOf(table, gate.port));

  test(`${name}: [W3.3] connections that are cut before, in and after COMMIT leave each row once, in order`, async () => {
    const table = await givenTable(server);
    await using gate = await statementGate(server.port);
    await using endpoint = at(table, gate);
    const stream = newStream();
    const endings: readonly Ending[] = ['unsent', 'sent', 'answered'];
    let failures = 0;
    for (let round = 0; round < 50; round++) {
      const delivery = { ...deliveryOf(eventsAt(round * 3 + 1, 3), { stream }) };
      // The first cut of two falls on a connection that was used before, and costs no try.
      gate.arm(server.commit, endings[round % 3] ?? 'sent', 1 + (round % 2));
      const cut = await endpoint.deliver(delivery, soon()).then(
        () => false,
        (error: unknown) => (expect(error).toMatchObject({ verdict: 'again' }), true),
      );
      if (!cut) continue;
      failures += 1;
      gate.arm(server.commit, 'sent', 0);
      await endpoint.deliver({ ...delivery, attempt: 2 }, soon());
    }
    expect(failures).toBeGreaterThanOrEqual(25);
    const rows = await rowsOf(server, table);
    expect(rows.map(({ sequence }) => sequence)).toEqual(sequencesTo(150));
  });

  test(`${name}: [W1.5] a sender that stands still before COMMIT keeps its successor waiting a few seconds, and writes nothing when it wakes`, async () => {
    const table = await givenTable(server);
    await using gate = await statementGate(server.port);
    await using zombie = at(table, gate);
    await using heir = openAt(kind, uriOf(table));
    const stream = newStream();
    await zombie.deliver(deliveryOf(eventsAt(1, 2), { stream, fence: 1 }), soon());
    gate.arm(server.commit, 'paused');
    const lost = failureOf(
      zombie.deliver(deliveryOf(eventsAt(3, 2), { stream, fence: 1 }), soon()),
    );
    await gate.seen;
    await heir.deliver(deliveryOf(eventsAt(3, 1), { stream, fence: 2 }), soon());
    gate.resume();
    expect((await lost).verdict).toMatch(/again|superseded/);
    const late = zombie.deliver(deliveryOf(eventsAt(3, 3), { stream, fence: 1 }), soon());
    expect((await failureOf(late)).verdict).toBe('superseded');
    const rows = await rowsOf(server, table);
    expect(rows.map(({ fence }) => fence)).toEqual([1, 1, 2]);
    expect(rows.map(({ sequence }) => sequence)).toEqual(sequencesTo(3));
  });

  test(`${name}: [W1.5] of two senders at once, the lower fence writes nothing after the higher one's first row`, async () => {
    const table = await givenTable(server);
    await using early = openAt(kind, uriOf(table));
    await using late = openAt(kind, uriOf(table));
    const streams = Array.from({ length: 20 }, newStream);
    for (const stream of streams) {
      const send = async (endpoint: Endpoint, fence: number): Promise<void> => {
        for (let place = 1; place <= 5; place++) {
          await endpoint.deliver(deliveryOf(eventsAt(place, 2), { stream, fence }), soon());
        }
      };
      const beaten = send(early, 1).catch((error: unknown) => {
        expect(error).toMatchObject({ verdict: 'superseded' });
      });
      await Promise.all([beaten, send(late, 2)]);
    }
    for (const stream of streams) {
      const came = `select fence, sequence from ${table} where stream = '${stream}' order by n`;
      const rows = await server.query(came);
      const fences = rows.map(([fence]) => Number(fence));
      expect(fences).toEqual(fences.toSorted());
      expect(rows.map(([, sequence]) => String(sequence))).toEqual(sequencesTo(6));
    }
  });

  test(`${name}: [W1.5] a successor that has nothing new to tell is told of to its predecessor all the same`, async () => {
    const table = await givenTable(server);
    await using early = openAt(kind, uriOf(table));
    await using late = openAt(kind, uriOf(table));
    const stream = newStream();
    const [known, next] = [[eventAt(1)], [eventAt(2)]];
    await early.deliver(deliveryOf(known, { stream, fence: 1 }), soon());
    await late.deliver(deliveryOf(known, { stream, fence: 2 }), soon());
    const stale = early.deliver(deliveryOf(next, { stream, fence: 1 }), soon());
    expect((await failureOf(stale)).verdict).toBe('superseded');
    expect(await rowsOf(server, table)).toHaveLength(1);
  });

  test(`${name}: [W3.1] a thousand events and values of 1 MiB are one delivery, and are left out whole when they come again`, async () => {
    const table = await givenTable(server);
    await using endpoint = openAt(kind, uriOf(table));
    const stream = newStream();
    const many = deliveryOf(eventsAt(1, 1_000), { stream });
    const value = Buffer.alloc(1_048_576, Buffer.from([0, 39, 92, 34, 255, 10, 26, 96]));
    const large = deliveryOf(
      eventsAt(1_001, 3).map((event) => ({ ...event, value })),
      { stream },
    );
    for (const delivery of [many, large, large, many]) await endpoint.deliver(delivery, soon());
    const rows = await rowsOf(server, table);
    expect(rows.map(({ sequence }) => sequence)).toEqual(sequencesTo(1_003));
    expect(value.equals(rows.at(-1)?.data as Buffer)).toBe(true);
  });

  test(`${name}: a table that is not there is created, whatever its name, and tells apart what differs in case, accents and bytes`, async () => {
    const table = 'o"dd`; drop table x; -- \'é?';
    await using endpoint = openAt(kind, uriOf(encodeURIComponent(table)));
    await using other = openAt(kind, uriOf(encodeURIComponent(table)));
    const paths = ['/a', '/A', '/á', "/'; drop table x; --", '/\\', '/"`$1?', '/😀'];
    const stream = newStream();
    const events = paths.map((path, i) => eventAt(i + 1, { path, value: Buffer.from(path) }));
    const sent = [endpoint, other].map((one) =>
      one.deliver(deliveryOf(events, { stream }), soon()),
    );
    await Promise.all(sent);
    const quoted = server.quote(table);
    const rows = await server.query(`select path, data from ${quoted} order by sequence`);
    expect(rows).toEqual(paths.map((path) => [path, Buffer.from(path)]));
    for (const path of ['/a', '/á']) {
      const count = await server.query(`select count(*) from ${quoted} where path = '${path}'`);
      expect(Number(count[0]?.[0])).toBe(1);
    }
  });

  test(`${name}: a probe comes each time, and leaves the stream where it is`, async () => {
    const table = 'probed';
    await using endpoint = openAt(kind, uriOf(table));
    const stream = newStream();
    const probe = (id: string): DeliveredEvent =>
      eventAt(1, { kind: 'test', id, sequence: '', previous: '', value: undefined });
    for (const event of [probe('test.a'), eventAt(1), probe('test.b'), eventAt(2)]) {
      await endpoint.deliver(deliveryOf([event], { stream }), soon());
    }
    const rows = await server.query(`select id from ${server.quote(table)} order by sequence, id`);
    expect(rows.flat()).toEqual(['test.a', 'test.b', '1.0', '2.0']);
  });

  test(`${name}: a table that is given is checked, and create=no makes none`, async () => {
    const given = await givenTable(server);
    await server.query(`alter table ${given} drop column previous`);
    await server.query(`alter table ${given} drop column watchers`);
    const failing = async (table: string): Promise<string> => {
      await using endpoint = openAt(kind, uriOf(table));
      const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
      expect(failure.verdict).toBe('again');
      return failure.message;
    };
    expect(await failing(given)).toContain('lacks the columns previous, watchers');
    expect(await failing('absent?create=no')).toContain('absent is not there');
  });

  test(`${name}: a column of text takes documents, and refuses bytes that are no text`, async () => {
    const table = await givenTable(server);
    await server.makeText(table);
    const stream = newStream();
    await using documents = openAt(kind, uriOf(table), { format: 'structured' });
    await documents.deliver(
      deliveryOf([eventAt(1, { value: Buffer.from('"\u0000é"') })], { stream }),
      soon(),
    );
    await using values = openAt(kind, uriOf(table));
    await values.deliver(deliveryOf([eventAt(2, { value: Buffer.from('é') })], { stream }), soon());
    const bytes = eventAt(3, { value: Buffer.from([0xff]) });
    const failure = await failureOf(values.deliver(deliveryOf([bytes], { stream }), soon()));
    expect(failure.message).toContain('no UTF-8');
    const [first, second, ...others] = await rowsOf(server, table);
    expect(JSON.parse(String(first?.data))).toMatchObject({
      subject: '/suite/1',
      data: '"\u0000é"',
    });
    expect(second?.data).toBe('é');
    expect(others).toEqual([]);
  });

  test(`${name}: a delivery that the server undid for the sake of another is begun anew in the same try`, async () => {
    await using endpoint = openAt(kind, uriOf('entangled'));
    const stream = newStream();
    await endpoint.deliver(deliveryOf([eventAt(1)], { stream }), soon());
    const other = await server.session();
    const second = sequenceAt(2);
    const copied = `select stream, '${second}', previous, '2.0', kind, namespace, path, revision, watchers, data, state, replay, fence, attempt, at from entangled where stream = '${stream}'`;
    await other.run('begin');
    await other.run(`insert into entangled ${copied}`);
    // It has the fence and waits for the other's row; the other then waits for the fence.
    const delivered = endpoint.deliver(deliveryOf([eventAt(2)], { stream }), soon());
    while ((await server.waiting()) === 0);
    await other.run(`select * from waymark_fences where stream = '${stream}' for update`);
    await other.run('rollback');
    await other.end();
    await delivered;
    const rows = await server.query('select sequence from entangled order by sequence');
    expect(rows.flat()).toEqual(sequencesTo(2));
  });

  test(`${name}: a session that the server ended between two deliveries costs no try`, async () => {
    const table = await givenTable(server);
    await using endpoint = openAt(kind, uriOf(table));
    const stream = newStream();
    for (let place = 1; place <= 10; place++) {
      await endpoint.deliver(deliveryOf([eventAt(place)], { stream }), soon());
      await server.endSessions();
    }
    expect(await rowsOf(server, table)).toHaveLength(10);
  });

  test(`${name}: a hundred tables of one database share a few connections`, async () => {
    await using gate = await statementGate(server.port);
    const tools = {
      dialer: plainDialer(),
      connections: new SharedConnections(),
      wallNow: () => Date.now(),
    };
    // Those who create a table at once begin anew, on other connections.
    for (let i = 0; i < 10; i++) {
      await using creator = openAt(kind, uriOf(`shared_${i}`));
      await creator.deliver(deliveryOf(eventsAt(1, 2)), soon());
    }
    const endpoints = Array.from({ length: 100 }, (_, i) => {
      const target = kind.parse(`${uriOf(`shared_${i % 10}`, gate.port)}`, binary);
      return kind.open(target, binary, tools);
    });
    await Promise.all(endpoints.map((one) => one.deliver(deliveryOf(eventsAt(1, 2)), soon())));
    expect(gate.opened).toBeLessThanOrEqual(8);
    for (const endpoint of endpoints) await endpoint[Symbol.asyncDispose]();
    const rows = await server.query('select count(*) from shared_3');
    expect(Number(rows[0]?.[0])).toBe(22);
  });

  test(`${name}: a wrong password is told, and not which`, async () => {
    const wrong = server.url(server.port).replace(/:[^:@/]+@/, ':wr0ng@');
    await using endpoint = openAt(kind, `${wrong}/t`);
    const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
    expect(failure.message).toMatch(/refused with/);
    expect(failure.message).not.toContain('wr0ng');
  });
}
