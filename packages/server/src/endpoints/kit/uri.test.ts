import { inspect } from 'node:util';
import fc from 'fast-check';
import { isWaymarkError } from 'waymark/engine';
import { describe, expect, test } from 'vitest';
import { normalUri, readUri, shownUri } from './uri.js';

const ports = {
  ...{ http: 80, https: 443, redis: 6379, amqp: 5672, xmpp: 5222, mysql: 3306 },
  ...{ ws: 80, nats: 4222, postgres: 5432 },
};
const read = (uri: string) => readUri(uri, { ports });
const normal = (uri: string) => normalUri(read(uri));

describe('readUri', () => {
  test.each([
    [
      'redis://password@server:1/0',
      { user: 'password', password: '', passworded: false, host: 'server', port: 1, path: '/0' },
    ],
    ['redis://:p@s', { user: '', password: 'p', passworded: true, port: 6379, path: '' }],
    ['redis://u:@s', { user: 'u', password: '', passworded: true }],
    ['xmpp://node@domain/?query', { user: 'node', host: 'domain', port: 5222, path: '/' }],
    [
      'mysql://user:password@server:3307/db/table',
      { user: 'user', password: 'password', host: 'server', port: 3307, path: '/db/table' },
    ],
    ['amqp://u:p@broker/%2f', { path: '/%2f', port: 5672 }],
    ['amqp://u%40x:p%3a%2f%40@Broker:5673/v', { user: 'u@x', password: 'p:/@', host: 'broker' }],
    ['HTTP://user:password@host:8080/', { scheme: 'http', host: 'host', port: 8080, path: '/' }],
    ['http://host:80/', { port: 80 }],
    ['https://host', { port: 443, path: '/' }],
    ['redis://[2001:DB8::1]:7/', { host: '2001:db8::1', port: 7 }],
    ['redis://[::ffff:10.0.0.1]', { host: '10.0.0.1' }],
    ['redis://0x7f.1', { host: '127.0.0.1' }],
    ['http://2130706433', { host: '127.0.0.1' }],
    ['redis://b%C3%BCcher.example.', { host: 'xn--bcher-kva.example' }],
    ['ws://user@h/a?b=c%20d', { user: 'user', path: '/a' }],
  ])('%s', (uri, parts) => {
    expect(read(uri)).toMatchObject({ uri, ...parts });
  });

  const long = `http://h/${'x'.repeat(2_040)}`;
  test.each([
    ['', 'as text'],
    ['host', 'a scheme'],
    ['//host/', 'a scheme'],
    ['http:host', 'a scheme'],
    ['unix:/run/redis.sock', 'a scheme'],
    ['gopher://host', "'gopher' is not"],
    ['constructor://host', "'constructor' is not"],
    ['__proto__://host', 'a scheme'],
    ['http://', 'no URI'],
    ['redis://', 'names a host'],
    ['redis:///0', 'names a host'],
    ['http:///host/', 'names a host'],
    ['http:////host/', 'names a host'],
    ['redis://:password@/0', 'no URI'],
    ['redis://a..b', 'names a host'],
    ['redis://a%2fb', 'names a host'],
    ['redis://a%3a80/', 'names a host'],
    ['redis://user%40host', 'names a host'],
    ['redis://1.2.3.4.5', 'names a host'],
    ['redis://[::1', 'no URI'],
    ['redis://[fe80::1%25eth0]', 'no URI'],
    ['redis://host:0', 'port 0'],
    ['redis://host:65536', 'the port'],
    ['redis://host:x', 'no URI'],
    ['redis://host:-1', 'no URI'],
    ['redis://host/#', 'fragment'],
    ['redis://host/0#x', 'fragment'],
    ['redis://u%zz:p@host', 'the user in'],
    ['redis://u:p%@host', 'the password in'],
    ['http://host/a b', 'blanks'],
    ['http://host/\n', 'blanks'],
    ['http://host/\0', 'blanks'],
    ['http://user\\:pw@host/', 'backslashes'],
    [`${long}xx`, 'at most 2048 bytes'],
    [`http://h/${'é'.repeat(1_020)}`, 'at most 2048 bytes'],
    [7 as unknown as string, 'as text'],
    [undefined as unknown as string, 'as text'],
  ])('%s is refused: %s', (uri, told) => {
    const error = caught(() => read(uri));
    expect(error.message).toContain(told);
  });

  test('parameters that are not known are refused, by a name that ends no line', () => {
    const rules = { ports, parameters: ['stream', 'list'] };
    expect(readUri('redis://h?list=x&list=y', rules).parameters.getAll('list')).toHaveLength(2);
    const error = caught(() => readUri('redis://h?stream=x&a%0d%0ab=y', rules));
    expect(error.message).toBe("unknown parameter 'a%0D%0Ab': this endpoint takes stream, list");
    const none = caught(() => readUri('redis://h?x', { ports, parameters: [] }));
    expect(none.message).toContain('takes none');
  });

  test('[G27] what is refused shows no password', () => {
    for (const uri of [
      ...['redis://:canary@/0', 'redis://:canary@host:x', 'redis://user:can ary@host'],
      ...[
        'http://canary@[::1',
        'gopher://u:canary@host',
        'redis://u:canary@h/#',
        'http://u:canary@',
      ],
      ...['redis://u:canary%@h', 'redis://u:canary/x@host/', 'redis://canary:99999@h:99999'],
    ]) {
      const shown = inspect(
        caught(() => read(uri)),
        { depth: 9, showHidden: true },
      );
      expect(shown, uri).not.toMatch(/canary|can ary|99999/);
    }
  });
});

function caught(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    if (isWaymarkError(error, 'invalid')) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('normalUri', () => {
  test.each([
    [
      [
        'http://example.com',
        'HTTP://Example.COM:80/',
        'http://example.com./?',
        'http://example.com:0080',
      ],
      'http://example.com:80/',
    ],
    [
      ['redis://127.1/0', 'redis://127.0.0.1:6379/0', 'redis://0x7f000001/0'],
      'redis://127.0.0.1:6379/0',
    ],
    [['redis://[::ffff:7f00:1]/0', 'redis://%31%32%37.0.0.1/0'], 'redis://127.0.0.1:6379/0'],
    [['ws://[0:0::1]/', 'ws://[::1]'], 'ws://[::1]:80/'],
    [['amqp://u:one@b/%2f', 'amqp://%75:two@b:5672/%2F', 'amqp://u@b/%2f'], 'amqp://u@b:5672/%2F'],
    [['http://h/%68ook/../%7euser/x', 'http://h/~user/x'], 'http://h:80/~user/x'],
    [['http://h/?b=2&a=1', 'http://h/?a=1&b=2', 'http://h/?%61=1&b=%32'], 'http://h:80/?a=1&b=2'],
    [['http://h/?a=x+y', 'http://h/?a=x%20y'], 'http://h:80/?a=x+y'],
  ])('%s are %s', (spellings, one) => {
    for (const uri of spellings) expect(normal(uri)).toBe(one);
  });

  test.each([
    ['http://h/a', 'http://h/A'],
    ['http://h/a', 'http://h/a/'],
    ['http://h/a%2fb', 'http://h/a/b'],
    ['http://h/', 'https://h/'],
    ['http://h/', 'http://h:81/'],
    ['http://u@h/', 'http://v@h/'],
    ['http://h/?a=1&a=2', 'http://h/?a=2&a=1'],
    ['http://h/?token=1', 'http://h/?token=2'],
    ['http://h/?key=1', 'http://h/?key=2'],
    ['http://h/?a=1', 'http://h/?a=1&b='],
  ])('%s is another place than %s', (one, other) => {
    expect(normal(one)).not.toBe(normal(other));
  });

  test('it is read as it is written, again and again', () => {
    const uris = fc.webUrl({ validSchemes: ['http', 'https', 'ws'], withQueryParameters: true });
    fc.assert(
      fc.property(uris, (uri) => {
        fc.pre(Buffer.byteLength(uri) < 1_000 && !/[?&][^=&]*(token|key|sig|code|pass)/i.test(uri));
        const once = normal(uri);
        expect(normal(once)).toBe(once);
      }),
    );
  });

  test('[G27] it holds no password, and no value of a secret parameter', () => {
    const uri = 'https://u:canary@h/?api_key=canary&a=1&x-token=canary';
    expect(normal(uri)).toMatch(
      /^https:\/\/u@h:443\/\?a=1&api_key=sha256-[\w-]{22}&x-token=sha256-[\w-]{22}$/,
    );
    expect(normalUri(read(uri), { user: '', path: '/x' })).toMatch(/^https:\/\/h:443\/x\?a=1/);
  });
});

describe('shownUri', () => {
  test.each([
    ['amqp://user:pw@host:1/vhost', 'amqp://user:***@host:1/vhost'],
    ['AMQP://user:pw@host', 'amqp://user:***@host'],
    ['amqp://user@host/', 'amqp://user@host/'],
    ['xmpp://node@domain/?query', 'xmpp://node@domain/?query'],
    ['redis://pw@host/0?list=a', 'redis://***@host/0?list=a'],
    ['redis://:pw@host/0', 'redis://:***@host/0'],
    ['redis://host/0?key=/jobs/&stream=x', 'redis://host/0?key=/jobs/&stream=x'],
    ['https://token@host/', 'https://***@host/'],
    ['https://u:p@ss@host/', 'https://u:***@host/'],
    ['https://h/?a=1&api_key=x&b=2', 'https://h/?a=1&api_key=***&b=2'],
    ['https://h/?key=x&sig=y&code=z', 'https://h/?key=***&sig=***&code=***'],
    ['https://h/?p%61ssword=x&TOKEN=y', 'https://h/?p%61ssword=***&TOKEN=***'],
    ['https://h/?a=1;password=x', 'https://h/?a=1;password=***'],
    ['https://h/?client_secret=a=b=c', 'https://h/?client_secret=***'],
    ['http:///u:pw@host/', 'http://u:***@host/'],
    ['http:u:pw@host', 'http://u:***@host/'],
    ['redis://u:pw@host:x/', 'redis://***'],
    ['redis://u:p/w@host/', 'redis://***'],
    ['no uri at all, pw', '***'],
    ['', '***'],
  ])('%s is shown as %s', (uri, shown) => {
    expect(shownUri(uri)).toBe(shown);
  });

  test('[G27] whatever is in a URI, its password, a token and who is named alone are not shown', () => {
    const canary = 'cAnArY8d1f';
    const scheme = fc.constantFrom(...Object.keys(ports), 'rediss', 'HTTPS', 'unknown+x');
    const noise = fc.string({ unit: 'grapheme', maxLength: 8 });
    const secret = fc.tuple(noise, noise).map(([a, b]) => `${a}${canary}${b}`);
    const name = fc.constantFrom(
      ...['password', 'token', 'access_token', 'X-Amz-Signature', 'client_secret', 'apikey'],
      ...['api-key', 'API_KEY', 'pass%77ord', '%74oken', 'passphrase', 'db_pwd', 'jwt'],
    );
    const encoded = fc.boolean();
    const account = fc.oneof(
      fc.tuple(noise, secret).map(([user, password]) => `${encodeURIComponent(user)}:${password}`),
      secret.map((password) => `:${password}`),
    );
    fc.assert(
      fc.property(
        scheme,
        account,
        noise,
        name,
        secret,
        encoded,
        (one, info, path, key, value, encode) => {
          const userinfo = encode ? info.split(':').map(encodeURIComponent).join(':') : info;
          const query = `?a=b&${key}=${encodeURIComponent(value)}&c=d`;
          const uri = `${one}://${userinfo}@host.example:81/${encodeURIComponent(path)}${query}`;
          // What ends the authority before its @ leaves no password in it, but a host, port or path.
          fc.pre(encode || !/[/?#\\]/.test(info));
          expect(shownUri(uri)).not.toContain(canary);
          expect(shownUri(shownUri(uri))).not.toContain(canary);
          // The registry shows what is canonical.
          if (encode && one in ports) expect(normal(uri)).not.toContain(canary);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
