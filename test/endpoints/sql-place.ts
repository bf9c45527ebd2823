import {
  type EndpointUnderTest,
  type Received,
  receivedDocument,
  startGate,
} from '@waymark/server/testing';

/** A database that endpoints are tables of, as tests look at it from outside. */
export interface SqlServer {
  /** `SCHEME://USER:PASSWORD@127.0.0.1:PORT/DATABASE` behind this port. */
  url(port: number): string;
  readonly port: number;
  readonly password: string;
  /** Rows as lists; with values in the server's own types. */
  query(sql: string): Promise<readonly (readonly unknown[])[]>;
  /** A table with the columns of events, and before them `n`, which counts rows in the order they came. */
  createGiven(name: string): Promise<void>;
  /** Makes `data` of a given table a column of text. */
  makeText(name: string): Promise<void>;
  quote(name: string): string;
  /** What COMMIT looks like on the way to the server, and nothing else does. */
  readonly commit: string;
  /** A session beside the one of `query`. */
  session(): Promise<SqlSession>;
  /** Ends the sessions of those who deliver. */
  endSessions(): Promise<void>;
  /** How many sessions wait for a lock. */
  waiting(): Promise<number>;
}

export interface SqlSession {
  run(sql: string): Promise<unknown>;
  end(): Promise<void>;
}

/** What is selected of rows, in the order of `Row`. */
const shown = 'n, fence, sequence, id, path, data, kind, previous, watchers, attempt';

export interface Row {
  readonly n: number;
  readonly fence: number;
  readonly sequence: string;
  readonly id: string;
  readonly path: string;
  readonly data: Buffer | string | null;
  readonly kind: string;
  readonly previous: string;
  readonly watchers: string;
  readonly attempt: number;
}

/** In the order they came. */
export async function rowsOf(server: SqlServer, table: string): Promise<Row[]> {
  const rows = await server.query(`select ${shown} from ${table} order by n`);
  return rows.map((row) => {
    const [n, fence, sequence, id, path, data, kind, previous, watchers, attempt] = row;
    return {
      n: Number(n),
      fence: Number(fence),
      sequence: String(sequence),
      id: String(id),
      path: String(path),
      data: data as Row['data'],
      kind: String(kind),
      previous: String(previous),
      watchers: String(watchers),
      attempt: Number(attempt),
    };
  });
}

let tables = 0;

export async function givenTable(server: SqlServer): Promise<string> {
  const name = `given_${(tables += 1)}`;
  await server.createGiven(name);
  return name;
}

/** A fresh table behind a gate, for endpointSuite. */
export async function sqlPlace(
  server: SqlServer,
  format: 'structured' | 'binary',
): Promise<EndpointUnderTest> {
  const gate = await startGate({ port: server.port });
  const [table, other] = [await givenTable(server), await givenTable(server)];
  const read = format === 'structured' ? documentRow : columnsRow;
  return {
    uri: `${server.url(gate.port)}/${table}`,
    sibling: `${server.url(gate.port)}/${other}`,
    secrets: [server.password, encodeURIComponent(server.password)],
    received: async () => (await rowsOf(server, table)).map(read),
    interrupt: () => gate.interrupt(),
    hold: () => gate.hold(),
    mend: () => gate.mend(),
    [Symbol.asyncDispose]: () => gate[Symbol.asyncDispose](),
  };
}

function documentRow({ data }: Row): Received {
  return receivedDocument(String(data));
}

function columnsRow(row: Row): Received {
  const { id, path, sequence, previous, fence, attempt } = row;
  return {
    id,
    path,
    sequence,
    previous,
    fence,
    attempt,
    kind: row.kind as Received['kind'],
    watchers: row.watchers.split(','),
    value: row.data === null ? undefined : (row.data as Buffer),
  };
}
