/** Delivers one event to the URI that is given, by the built driver, and says what became of it: the authorities of TLS are those of a process. */
import { createDialer } from '../../packages/server/dist/endpoints/kit/guarded-dialer.js';
import { SharedConnections } from '../../packages/server/dist/endpoints/kit/shared-connections.js';
import { redisKind } from '../../packages/server/dist/endpoints/redis/redis-endpoint.js';

const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 };
const dialer = createDialer({ allow: ['127.0.0.0/8', '::1/128'] });
const tools = { dialer, connections: new SharedConnections(), wallNow: () => Date.now() };
const place = { path: '/', sequence: '1', previous: '', revision: 1, watchers: ['w'] };
const event = { id: '1.0', kind: 'put', namespace: 'n', value: Buffer.from('1'), ...place };
const delivery = { id: 'd', stream: 's', fence: 1, attempt: 1, sentAt: 0, events: [event] };
const endpoint = redisKind.open(redisKind.parse(process.argv[2], settings), settings, tools);
try {
  await endpoint.deliver(delivery, AbortSignal.timeout(10_000));
  console.log('accepted');
} catch (error) {
  console.log(error.verdict, error.message);
} finally {
  await endpoint[Symbol.asyncDispose]();
}
