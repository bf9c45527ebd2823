import { DeliveryFailure } from '../endpoint.js';

const unpermitted = 'this account may not publish to the subject';

/** What errors of the client mean here, by their names. */
const meanings: Readonly<Record<string, string>> = {
  AuthorizationError: 'access refused: the account, its password or its token',
  UserAuthenticationExpiredError: 'access refused: the account is of the past',
  PermissionViolationError: unpermitted,
  JetStreamNotEnabled: 'no stream takes the subject, or the server has no JetStream',
  NoRespondersError: 'no stream takes the subject',
  TimeoutError: 'no answer from the server',
};
/** Of the server's codes, those that people come across. */
const streamMeanings: Readonly<Record<number, string>> = {
  10054: 'the message is larger than the stream takes',
  10060: 'another stream takes the subject',
  10077: 'the stream is full or cannot store',
};

/** Of whatever the client threw. What the server said is not passed on. */
export function natsFailure(cause: unknown): DeliveryFailure {
  if (cause instanceof DeliveryFailure) return cause;
  for (let error = cause; error instanceof Error; error = error.cause) {
    const { name, code, message } = error as Error & { readonly code?: unknown };
    if (name === 'JetStreamApiError') {
      const meaning = streamMeanings[Number(code)] ?? 'the stream refused the message';
      return new DeliveryFailure('again', `${meaning} (JetStream ${String(code)})`, { cause });
    }
    const meaning = meanings[name];
    if (meaning !== undefined) return new DeliveryFailure('again', meaning, { cause });
    if (message.includes('max_payload')) {
      return new DeliveryFailure('again', 'the message is larger than the server takes', { cause });
    }
    if (typeof code === 'string') {
      return new DeliveryFailure('again', `the server cannot be reached (${code})`, { cause });
    }
    if (/\btls\b/.test(message)) {
      return new DeliveryFailure('again', 'the server and the URI differ about TLS', { cause });
    }
  }
  return new DeliveryFailure('again', 'the connection to the server broke', { cause });
}

export function notAllowed(): DeliveryFailure {
  return new DeliveryFailure('again', unpermitted);
}
