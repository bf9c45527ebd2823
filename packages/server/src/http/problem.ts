import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isWaymarkError, limits, WaymarkError } from 'waymark';
import { errorTable } from 'waymark/engine';

/** Every error is a problem document (RFC 9457) with Waymark's code and facts beside the standard members. */

/** What Node's own HTTP parser refuses: the request never reached a route. */
export function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (socket.destroyed || error.code === 'ECONNRESET') return;
  const status =
    { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ''] ?? 400;
  const code = { 431: 'too_large', 408: 'timeout', 400: 'invalid' }[status];
  const detail = {
    431: 'the headers are too large',
    408: 'the request took too long',
    400: 'this is no HTTP/1.1 request',
  };
  const told = {
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    detail: detail[status as 400],
    code,
  };
  const body = JSON.stringify(told);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toWaymarkError(error);
  const http = statusOf(problem);
  // What became of a message is no fault of the server, and what is too much for it is counted, not told one by one.
  if (http >= 500 && problem.facts.outcome === undefined && problem.code !== 'overloaded')
    request.log.error({ err: error }, problem.message);
  if (problem.facts.retryAfterMs !== undefined) {
    void reply.header('retry-after', Math.ceil(problem.facts.retryAfterMs / 1_000));
  }
  const told = problemOf(problem, request.id);
  void reply.code(http).header('content-type', 'application/problem+json').send(told);
}

/** What is too much for the whole server is no fault of the one who asks. */
export function statusOf({ code, facts }: WaymarkError): number {
  if (code === 'overloaded' && facts.limit?.startsWith('inFlight') === true) return 503;
  return errorTable[code].http;
}

/** @param requestId  by which the server's log tells of the same request */
export function problemOf(error: WaymarkError, requestId?: string): string {
  const { code, message, facts } = error;
  return JSON.stringify({
    type: `urn:waymark:error:${code}`,
    title: code.replaceAll('_', ' '),
    status: statusOf(error),
    detail: message,
    code,
    ...facts,
    requestId,
  });
}

export function toWaymarkError(error: unknown): WaymarkError {
  if (isWaymarkError(error)) return error;
  const { statusCode, validation, message, code } = error as Partial<FastifyError>;
  if (statusCode === 413) {
    const max = limits.requestBytesMax;
    return new WaymarkError('too_large', `a body takes at most ${max} bytes`, {
      limit: 'requestBytesMax',
      max,
    });
  }
  if (validation !== undefined || (statusCode !== undefined && statusCode < 500)) {
    return new WaymarkError('invalid', message ?? 'bad request', {}, error);
  }
  if (code === 'ABORT_ERR')
    return new WaymarkError('timeout', 'the request was aborted', {}, error);
  return new WaymarkError(
    'internal',
    'something went wrong on the server: its log has the details',
    {},
    error,
  );
}
