import { isWaymarkError } from 'waymark/engine';
import { grpcCode } from '../../grpc/status.js';
import { checkOrigin, isSecure } from '../../http/origin.js';
import type { ServedStream, StreamHandler } from '../../http2/transport.js';
import { respondError } from './answers.js';
import { bindingOf } from './bindings.js';
import { type CallOptions, GatewayCall } from './gateway-call.js';

/**
 * etcd's JSON gateway: what it takes as JSON it hands to gRPC as messages, and the other way round, as etcd's own does, which is a client of its server. So
 * whatever holds of a call holds here: limits, deadlines, tokens, errors.
 */
export interface GatewayOptions extends CallOptions {
  /** Host names that requests may carry; null for any. */
  readonly hosts: ReadonlySet<string> | null;
}

type Accept = (stream: ServedStream) => StreamHandler;

export function createGateway(options: GatewayOptions): Accept {
  return (stream) => {
    const binding = bindingOf(stream.path);
    if (binding === undefined) return answerText(stream, 404, 'Not Found');
    if (stream.method !== 'POST') return answerText(stream, 405, 'Method Not Allowed');
    const asked = {
      host: stream.authority,
      origin: stream.header('origin'),
      site: stream.header('sec-fetch-site'),
      marked: stream.header('x-waymark-csrf') !== undefined,
      reads: false,
      secure: isSecure(stream.socket),
    };
    try {
      checkOrigin(asked, options.hosts);
    } catch (error) {
      if (!isWaymarkError(error)) throw error;
      respondError(stream, grpcCode.permissionDenied, error.message);
      return over;
    }
    return new GatewayCall(stream, binding, options);
  };
}

const over: StreamHandler = { data() {}, ended() {}, drained() {}, closed() {} };

/** A line of text, and no more. */
function answerText(stream: ServedStream, status: number, text: string): StreamHandler {
  stream.respond([
    [':status', String(status)],
    ['content-type', 'text/plain; charset=utf-8'],
    ['content-length', String(text.length + 1)],
  ]);
  stream.write(Buffer.from(`${text}\n`));
  stream.end();
  return over;
}
