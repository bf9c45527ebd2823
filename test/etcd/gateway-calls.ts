/** Calls of etcd's JSON gateway, in an order in which each means something: what real etcd answers is what is right. */
export interface GatewayCall {
  readonly path: string;
  /** Sent as it is. */
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  /** A stream is left after so many lines. */
  readonly lines?: number;
  /** The answer tells of the server itself: that there is one is compared. */
  readonly own?: boolean;
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
    success: [{ request_range: { key: a } }, put(b64('x'), b64('1')), { request_txn: {} }],
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

const lease = '7587869123456789';
const leaseKey = (name: string): string => b64(`${name}/${BigInt(lease).toString(16)}`);

export const leaseCalls: readonly GatewayCall[] = [
  call('lease/grant', `{"TTL":"600","ID":${lease}}`),
  call('lease/grant', { TTL: 600, ID: lease }),
  call('lease/grant', { TTL: 99_999_999_999 }),
  call('lease/grant', { ttl: 600, ID: '8' }),
  call('kv/put', `{"key":"${b64('leased')}","lease":${lease}}`),
  call('kv/range', { key: b64('leased') }),
  call('lease/keepalive', `{"ID":${lease}}`, { lines: 1 }),
  call('lease/keepalive', `{"ID":${lease}} {"ID":"${lease}"}\n{"ID":1}`, { lines: 3 }),
  call('lease/keepalive', `{"ID":${lease}} {"ID":1.5}`, { lines: 1 }),
  call('lease/keepalive', '{"ID":"x"}', { lines: 1 }),
  call('lease/keepalive', ''),
  call('kv/lease/timetolive', { ID: '77' }),
  call('lease/timetolive', '{"ID":9007199254740993}'),
  call('lease/timetolive', '{"ID":-9223372036854775808,"keys":false}'),
  call('kv/lease/revoke', { ID: '8' }),
  call('lease/leases', {}),
  call('kv/lease/leases', ''),
  call('lease/revoke', { ID: 8 }),
  call('kv/lease/grant', {}),
];

const create = (request: object): object => ({ create_request: request });

export const watchCalls: readonly GatewayCall[] = [
  call('watch', create({ key: b64('leased'), start_revision: 5 }), { lines: 2 }),
  call('watch', create({ key: b64('leased'), startRevision: '5', prevKv: true }), { lines: 2 }),
  call('watch', create({ key: a, start_revision: 1 }), { lines: 2 }),
  call('watch', create({ key: 'AA==', range_end: 'AA==', start_revision: 5, watch_id: 7 }), {
    lines: 2,
  }),
  call('watch', create({ key: 'AA==', range_end: 'AA==', start_revision: 5, filters: ['NOPUT'] }), {
    lines: 2,
  }),
  call('watch', create({ key: a, filters: ['NONE'] })),
  call('watch', 'garbage'),
  call('watch', `${JSON.stringify(create({ key: a }))} {"cancel_request":{"watch_id":"0"}}`, {
    lines: 2,
  }),
  call('watch', `${JSON.stringify(create({ key: a }))} {"cancelRequest":{"watchId":9}} {`, {
    lines: 1,
  }),
  call('watch', create({}), { lines: 1 }),
  call('watch', {}, { method: 'GET', body: '' }),
];

const leader = { name: b64('e'), key: leaseKey('e'), rev: '0', lease };

export const recipeCalls: readonly GatewayCall[] = [
  call('lock/lock', { name: b64('l'), lease }),
  call('lock/unlock', { key: leaseKey('l') }),
  call('lock/unlock', {}),
  call('lock/lock', { name: b64('l'), lease: 5 }),
  call('election/leader', { name: b64('e') }),
  call('election/campaign', { name: b64('e'), lease, value: b64('me') }),
  call('election/leader', { name: b64('e') }),
  call('election/observe', { name: b64('e') }, { lines: 1 }),
  call('election/proclaim', { leader, value: b64('still') }),
  call('election/proclaim', {}),
  call('election/resign', {}),
];

export const serverCalls: readonly GatewayCall[] = [
  call('cluster/member/list', {}, { own: true }),
  call('cluster/member/remove', { ID: '1' }),
  call('cluster/member/promote', { ID: 1 }),
  call('maintenance/status', {}, { own: true }),
  call('maintenance/hash', { revision: 999 }, { own: true }),
  call('maintenance/defragment', {}),
  call('maintenance/alarm', {}, { own: true }),
  call('maintenance/alarm', { action: 'GET', alarm: 'NOSPACE' }, { own: true }),
  call('maintenance/alarm', { action: 'GIVE' }),
  call('maintenance/transfer-leadership', { targetID: '1' }),
];

/** The last: from then on nobody may do anything without a token. */
export const authCalls: readonly GatewayCall[] = [
  call('auth/user/list', {}),
  call('auth/authenticate', { name: 'root', password: 'r' }),
  call('auth/user/add', { name: 1 }),
  call('auth/user/add', {}),
  call('auth/user/add', { name: 'root', password: 'r' }),
  call('auth/user/get', { name: 'root' }),
  call('auth/role/add', { name: 'root' }),
  call('auth/role/add', { name: 'x' }),
  call('auth/role/grant', { name: 'x', perm: { permType: 'READWRITE', key: a, range_end: b } }),
  call('auth/role/get', { role: 'x' }),
  call('auth/role/get', { role: 'y' }),
  call('auth/role/revoke', { role: 'x', key: a, range_end: b }),
  call('auth/role/list', {}),
  call('auth/user/grant', { user: 'root', role: 'root' }),
  call('auth/user/revoke', { name: 'root', role: 'x' }),
  call('auth/user/changepw', { name: 'root', password: 'root' }),
  call('auth/role/delete', { role: 'x' }),
  call('auth/enable', {}),
  call('kv/range', { key: a }),
  call('kv/range', { key: a }, { headers: { authorization: 'none' } }),
  call('maintenance/snapshot', {}),
  call('watch', create({ key: a }), { lines: 1 }),
  call('auth/authenticate', { name: 'root', password: 'wrong' }),
];
