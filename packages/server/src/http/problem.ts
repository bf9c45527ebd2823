import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isWaymarkError, WaymarkError } from 'waymark';
import { errorTable } from 'waymark/engine';

/** Every error is a problem document (RFC 9457) with Waymark's code and facts beside the standard members. */

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toWaymarkError(error);
  const { http } = errorTable[problem.code];
  if (http >= 500) request.log.error({ err: error }, problem.message);
  if (problem.facts.retryAfterMs !== undefined) {
    void reply.header('retry-after', Math.ceil(problem.facts.retryAfterMs / 1_000));
  }
  void reply.code(http).header('content-type', 'application/problem+json').send(problemOf(problem));
}

export function problemOf(error: WaymarkError): string {
  const { code, message, facts } = error;
  return JSON.stringify({
    type: `urn:waymark:error:${code}`,
    title: code.replaceAll('_', ' '),
    status: errorTable[code].http,
    detail: message,
    code,
    ...facts,
  });
}

export function toWaymarkError(error: unknown): WaymarkError {
  if (isWaymarkError(error)) return error;
  const { statusCode, validation, message, code } = error as Partial<FastifyError>;
  if (statusCode === 413) return new WaymarkError('too_large', 'the body is too large', { limit: 'requestBytesMax' });
  if (validation !== undefined || (statusCode !== undefined && statusCode < 500)) {
    return new WaymarkError('invalid', message ?? 'bad request', {}, error);
  }
  if (code === 'ABORT_ERR') return new WaymarkError('timeout', 'the request was aborted', {}, error);
  return new WaymarkError('internal', 'something went wrong on the server: its log has the details', {}, error);
}
