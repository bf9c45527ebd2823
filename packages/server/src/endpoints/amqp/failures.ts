import { DeliveryFailure } from '../endpoint.js';

/** What reply codes of AMQP mean here. The text that a broker sends with them is not passed on. */
const meanings: Readonly<Record<number, string>> = {
  311: 'the message is too large',
  312: 'no queue takes the message',
  320: 'the broker closed the connection',
  402: 'the vhost is not known',
  403: 'access refused: the account, its password, or what it may do here',
  404: 'no such exchange, queue or vhost',
  405: 'the queue is the own one of another connection',
  406: 'the broker does not take this message or queue as it is',
  501: 'a frame was not understood',
  506: 'the broker has no room left',
  530: 'not allowed: the vhost is missing, or closed to this account',
  541: 'an error inside the broker',
};

/** Of whatever the client threw: a code of the broker's, one of the system's, or neither. */
export function brokerFailure(cause: unknown): DeliveryFailure {
  if (cause instanceof DeliveryFailure) return cause;
  const { code, message = '' } = cause as { readonly code?: unknown; readonly message?: string };
  const reply = typeof code === 'number' ? code : replyIn(message);
  const told =
    reply === undefined
      ? `the broker cannot be reached${typeof code === 'string' ? ` (${code})` : ''}`
      : `${meanings[reply] ?? 'the broker refused'} (AMQP ${reply})`;
  return new DeliveryFailure('again', told, { cause });
}

/** What ends the handshake has its code in the text alone, and what ends it at the vhost not even there. */
function replyIn(message: string): number | undefined {
  if (message.startsWith('Expected ConnectionOpenOk; got <ConnectionClose')) return 530;
  const code = /\b(\d{3}) \([A-Z]/.exec(message)?.[1];
  return code === undefined ? undefined : Number(code);
}
