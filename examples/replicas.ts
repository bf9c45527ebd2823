// The demo service of the originals: any number of copies of one process. They are the members of a group and elect a leader, and each
// serves HTTP on a port of its own, so that all of this works against any of them:
//
//   node examples/dist/replicas.js                                              one alone, in memory
//   node examples/dist/replicas.js --space http://127.0.0.1:7420                as many as you like, each on the next free port
//   node examples/dist/replicas.js --space http://waymark:7420 --host 10.0.0.7   reached from other machines, and known by that address
//
//   curl localhost:8081/put -d "samplekey samplevalue"      appends to the log of the key
//   curl localhost:8081/get -d "samplekey"                  its newest entry
//   curl localhost:8081/send -d "hello-world"               goes to the leader, whose reply names it
//   curl localhost:8081/broadcast -d "hello-all"            goes to all, and collects what they reply
//
// In the original the leader alone writes, and the others send it what they were given. Here any copy appends, leader or not: the engine puts
// the entries in one order, so that there is nothing for a leader to do, and no write that fails because none is there.
import { createServer, type IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { codecs, isWaymarkError, limits, open, type Reply, WaymarkError } from 'waymark';

const { values } = parseArgs({
  options: {
    space: { type: 'string', default: 'memory:' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8081' },
    ttl: { type: 'string', default: '5000' },
  },
});
/** Further copies on one machine take the next ones. */
const portsTried = 100;

interface Answer {
  readonly status: number;
  readonly text: string;
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

const server = createServer((request, response) => {
  void answer(request).then(({ status, text }) => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
  });
});
const space = await open(values.space);
const at = values.host === '127.0.0.1' ? hostname() : values.host;
const name = `${at}:${await listen(Number(values.port))}`;
const replicas = space.namespace('replicas', { codec: codecs.text });
// It sends whether it is a member at the moment or not.
const group = replicas.members('/group', { owner: name });

while (!stop.signal.aborted) {
  try {
    const me = await group.join({
      address: name,
      lead: true,
      ttlMs: Number(values.ttl),
      handle: ({ kind, body, term }) =>
        kind === 'send' ? `${name} leads term ${term}: ${body}` : `${name}: ${body}`,
      signal: stop.signal,
    });
    console.log(`ready: ${name}`);
    const lost = await me.closed;
    if (lost !== undefined) console.log(lost.message);
  } catch (error) {
    if (stop.signal.aborted) break;
    // The engine was out of reach: it comes back as a new member.
    if (!isWaymarkError(error, 'lost') && !isWaymarkError(error, 'unavailable')) throw error;
    await sleep(1_000, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}
server.close();
server.closeIdleConnections();
await space.close();

async function answer(request: IncomingMessage): Promise<Answer> {
  try {
    const body = await bodyOf(request);
    const [key = '', ...rest] = body.trim().split(/\s+/);
    switch (request.url) {
      case '/put': {
        const { position } = await replicas.log(`/${key}`).append(rest.join(' '));
        return { status: 200, text: `${key} ${position}` };
      }
      case '/get': {
        const entry = await replicas.log(`/${key}`).latest();
        return entry === null
          ? { status: 404, text: `nothing was put to ${key}` }
          : { status: 200, text: entry.value };
      }
      case '/send':
        return told(await group.send<string>(body));
      case '/broadcast': {
        const replies: string[] = [];
        for await (const reply of group.broadcast<string>(body)) replies.push(told(reply).text);
        return { status: 200, text: replies.sort().join('\n') };
      }
      default:
        return { status: 404, text: 'there is /put, /get, /send and /broadcast' };
    }
  } catch (error) {
    const status =
      isWaymarkError(error, 'invalid') || isWaymarkError(error, 'too_large') ? 400 : 503;
    return { status, text: error instanceof Error ? error.message : String(error) };
  }
}

function told(reply: Reply<string>): Answer {
  if (reply.outcome === 'delivered') return { status: 200, text: reply.value };
  const status = reply.outcome === 'unknown' ? 504 : 503;
  return { status, text: `${reply.member ?? 'the leader'}: ${reply.outcome}, ${reply.why}` };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  const max = limits.messageBytesMax;
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > max) throw new WaymarkError('too_large', `a body takes at most ${max} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** @returns the port it got: this one, or the next that is free */
async function listen(port: number): Promise<number> {
  for (let next = port; ; next++) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(next, values.host, () => {
          server.off('error', reject);
          resolve();
        });
      });
      const address = server.address();
      return typeof address === 'object' ? (address?.port ?? next) : next;
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken || next >= port + portsTried) throw error;
    }
  }
}
