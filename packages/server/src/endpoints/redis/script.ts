import { createHash } from 'node:crypto';
import type { DeliveredEvent, Delivery } from '../endpoint.js';
import { eventAttributes, eventDocument, contentTypeOf } from '../kit/cloud-events.js';
import { fencePrefix, type RedisPlace } from './place.js';

/**
 * One delivery is one script, which Redis runs whole and alone: it compares the fence, leaves out what it has, writes the rest and the new fence
 * and sequence. So each event has its effect once, as durable as this Redis is.
 *
 * KEYS: the fence, then what is written to. ARGV: the fence, then of each event its sequence, how many words its command has, and these. Commands are
 * words of this file, and all that users say is an argument: it cannot become a command, whatever bytes it has. A probe has no sequence, and is
 * never left out. Redis does not undo what a script wrote before it failed: so the fence goes first, and what was written
 * is remembered then, too.
 */
export const script = `
local kept = redis.call('HMGET', KEYS[1], 'fence', 'last')
if kept[1] and tonumber(ARGV[1]) < tonumber(kept[1]) then return 'superseded' end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
local last = kept[2] or ''
local failed
local at = 2
while at <= #ARGV do
  local sequence, words = ARGV[at], tonumber(ARGV[at + 1])
  if sequence == '' or sequence > last then
    if words > 0 then
      local done = redis.pcall(unpack(ARGV, at + 2, at + 1 + words))
      if type(done) == 'table' and done.err then failed = done break end
    end
    if sequence ~= '' then last = sequence end
  end
  at = at + 2 + words
end
redis.call('HSET', KEYS[1], 'last', last)
return failed or 'accepted'
`;

export const scriptHash = createHash('sha1').update(script).digest('hex');

type Word = string | Buffer;
type Format = 'structured' | 'binary';

/** What follows the script, or its hash, in EVAL and EVALSHA. */
export function scriptArguments(place: RedisPlace, format: Format, delivery: Delivery): Word[] {
  const commands = delivery.events.map((event) => commandOf(place.to, format, delivery, event));
  // A command names its key second.
  const written = new Set(commands.map(([, key]) => key as string).filter((key) => key));
  const keys = [`${fencePrefix}${delivery.stream}`, ...written];
  const words = delivery.events.flatMap(({ sequence }, at): Word[] => {
    const command = commands[at] ?? [];
    return [sequence, String(command.length), ...command];
  });
  return [String(keys.length), ...keys, String(delivery.fence), ...words];
}

/** Without fence: nothing is kept of a channel. */
export function publishCommand(channel: string, delivery: Delivery, event: DeliveredEvent): Word[] {
  return ['PUBLISH', channel, eventDocument(delivery, event)];
}

/** Empty: there is nothing to write. */
function commandOf(
  to: RedisPlace['to'],
  format: Format,
  delivery: Delivery,
  event: DeliveredEvent,
): Word[] {
  switch (to.type) {
    case 'stream': {
      const bound = to.lengthMax === null ? [] : ['MAXLEN', '~', String(to.lengthMax)];
      return ['XADD', to.name, ...bound, '*', ...fieldsOf(format, delivery, event)];
    }
    case 'key':
      return keyCommand(`${to.name}${event.path}`, event);
    case 'list':
    case 'channel':
      return ['RPUSH', to.name, eventDocument(delivery, event)];
  }
}

function keyCommand(key: string, { kind, value }: DeliveredEvent): Word[] {
  if (kind === 'delete' || kind === 'expire') return ['DEL', key];
  return kind === 'put' && value !== undefined ? ['SET', key, bytesOf(value)] : [];
}

function fieldsOf(format: Format, delivery: Delivery, event: DeliveredEvent): Word[] {
  if (format === 'structured') return ['event', eventDocument(delivery, event)];
  const { value } = event;
  const attributes = eventAttributes(delivery, event).flat();
  if (value === undefined) return attributes;
  return [...attributes, 'datacontenttype', contentTypeOf(value), 'value', bytesOf(value)];
}

function bytesOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
