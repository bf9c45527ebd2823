/** Calls of etcd's JSON gateway, in an order in which each means something: what real etcd answers is what is right. */
export interface GatewayCall {
  readonly path: string;
  /** Sent as it is. */
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

export const b64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

const call = (path: string, body: object | string, more: Partial<GatewayCall> = {}) => ({
  path: `/v3/${path}`,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  ...more,
});

const [a, b, bytes] = [b64('a'), b64('b'), b64('\0\x80\xff')];

export const keyCalls: readonly GatewayCall[] = [
  call('kv/range', { key: a }),
  call('kv/put', { key: a, value: b64('1') }),
  call('kv/put', { key: a, value: b64('<&>'), prev_kv: true }),
  call('kv/put', { key: a, value: b64('3'), prevKv: true }),
  call('kv/put', { key: bytes, value: bytes }),
  call('kv/put', { key: b, value: '' }),
  call('kv/put', { key: b, ignore_value: true, prev_kv: true }),
  call('kv/put', { key: b, lease: 0, value: null }),
  call('kv/put', '{"key":"YQ==","lease":"7587869123456789012"}'),
  call('kv/put', '{"key":"YQ==","lease":7587869123456789012}'),
  call('kv/put', {}),
  call('kv/range', { key: a }),
  call('kv/range', { key: bytes }),
  call('kv/range', {
    key: 'AA==',
    range_end: 'AA==',
    sort_order: 'DESCEND',
    sort_target: 'VERSION',
  }),
  call('kv/range', { key: 'AA==', rangeEnd: 'AA==', sortOrder: 2, sortTarget: 3, limit: 1 }),
  call('kv/range', { key: 'AA==', range_end: 'AA==', limit: '2', keys_only: true }),
  call('kv/range', { key: 'AA==', range_end: 'AA==', count_only: true, serializable: true }),
  call('kv/range', { key: a, revision: 2 }),
  call('kv/range', { key: a, revision: '3', max_mod_revision: '3' }),
  call('kv/range', { key: a, revision: 99 }),
  call('kv/range', { key: a, unknown: { deep: [1, 2.5e3, null] } }),
  call('kv/range?key=b', { key: a }),
  call('kv/range', { key: a }, { headers: { 'content-type': 'text/plain' } }),
  { ...call('kv/range', { key: a }), path: '/v3beta/kv/range' },
  call('kv/deleterange', { key: b, prev_kv: true }),
  call('kv/deleterange', { key: b }),
  call('kv/deleterange', { key: b64('z'), range_end: b64('c') }),
];

const compare = { result: 'EQUAL', target: 'CREATE', key: a, create_revision: '2' };
const put = (key: string, value = ''): object => ({ request_put: { key, value } });

export const txnCalls: readonly GatewayCall[] = [
  call('kv/txn', {}),
  call('kv/txn', {
    compare: [compare],
    success: [put(b64('x'), b64('1')), { request_range: { key: a } }, { request_txn: {} }],
    failure: [{ request_delete_range: { key: a } }],
  }),
  call('kv/txn', {
    compare: [{ result: 'NOT_EQUAL', target: 'VALUE', key: a, value: b64('3') }],
    failure: [
      { request_txn: { success: [{ requestDeleteRange: { key: b64('x'), prevKv: true } }] } },
    ],
  }),
  call('kv/txn', { compare: [{ result: 1, target: 0, key: a, version: 1 }], success: [] }),
  call('kv/txn', { compare: null, success: [put(a), put(a)] }),
  call('kv/txn', { success: [{}] }),
  call('kv/txn', { success: [{ request_put: null }] }),
  call('kv/txn', { success: Array.from({ length: 129 }, (_, i) => put(b64(`k${i}`))) }),
  call('kv/txn', { compare: {} }),
  call('kv/txn', { compare: [7] }),
  call('kv/compaction', { revision: '3' }),
  call('kv/compaction', { revision: 3, physical: true }),
  call('kv/compaction', { revision: 999 }),
  call('kv/range', { key: a, revision: 2 }),
];

/** What is no request at all, or none of that message. */
export const wrongCalls: readonly GatewayCall[] = [
  ...[
    '',
    '{}',
    'null',
    '[]',
    '7',
    '"x"',
    'true',
    '{',
    '{"key":"YQ=="',
    '{"key":"YQ==',
    'garbage',
    '}',
    '{"key":"YQ=="} {"key":7}',
    '{"key":"YQ=="}garbage',
    ' \r\n\t{"key":"YQ=="}\n',
  ].map((body) => call('kv/range', body)),
  ...['Z', 'Zm9', '_-8=', 'Zm9vYm', 'Zm9v!m9v', 'Zm=v', 'Zm8=Zm9v', 'Zm\n9v', 7, {}, true].map(
    (key) => call('kv/range', { key }),
  ),
  ...['x', '', '1.5', '-1', true, {}, null, '9223372036854775807'].map((limit) =>
    call('kv/range', { key: a, limit }),
  ),
  ...['1.5', '1.0', '1e0', '-0', '9223372036854775807', '9223372036854775808'].map((limit) =>
    call('kv/range', `{"key":"${a}","limit":${limit}}`),
  ),
  ...['FOO', '<a&b>', '1', '', 1.5, true, null, {}].map((sort_order) =>
    call('kv/range', { key: a, sort_order }),
  ),
  call('kv/range', { key: a, keys_only: 'true' }),
  call('kv/range', { key: a, keys_only: 1 }),
  call('kv/range', { Key: a }),
  call('kv/range', '{"__proto__":{"key":"YQ=="},"constructor":1}'),
  call('kv/range', { key: a }, { method: 'GET', body: '' }),
  call('kv/range', { key: a }, { method: 'PUT' }),
  call('kv/range/', { key: a }),
  call('kv/nothing', { key: a }),
  call('nothing', {}),
  call('', {}),
  call('kv/range', { key: a }, { headers: { 'grpc-timeout': '10S' } }),
  call('kv/put', { key: a, value: b64('v'.repeat(1_700_000)) }),
  call('kv/put', { key: a, value: b64('v'.repeat(3_000_000)) }),
];
