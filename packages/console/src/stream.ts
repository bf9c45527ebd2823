import { Problem, send } from './api.js';

export interface StreamEvent {
  readonly name: string;
  readonly data: unknown;
}

export interface Following {
  readonly signal: AbortSignal;
  readonly onEvent: (event: StreamEvent) => void;
  /** Whether the stream is open; null: it is tried again, after the problem told. */
  readonly onState: (open: boolean, problem?: Problem) => void;
}

const retryMs = 1_000;

/**
 * Server-sent events read by fetch: an EventSource sends no headers, and so no token. Resumes after the last id that came, until the signal ends it.
 */
export async function follow(path: string, following: Following): Promise<void> {
  const { signal, onEvent, onState } = following;
  let lastId: string | undefined;
  while (!signal.aborted) {
    try {
      const headers = { accept: 'text/event-stream', ...(lastId && { 'last-event-id': lastId }) };
      const response = await send(path, { headers, signal });
      onState(true);
      for await (const block of blocksOf(response)) {
        const { id, name, data } = parse(block);
        lastId = id ?? lastId;
        if (name === 'error') throw toProblem(data);
        if (data !== undefined) onEvent({ name, data });
      }
      onState(false);
    } catch (error) {
      if (signal.aborted) return;
      const problem = toProblem(error);
      // An id of another engine: begin anew.
      if (problem.code === 'superseded' || problem.code === 'future_revision') lastId = undefined;
      onState(false, problem);
      if (problem.status === 401 || problem.status === 403) return;
    }
    await later(retryMs, signal);
  }
}

async function* blocksOf(response: Response): AsyncGenerator<string> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      yield* blocks;
    }
  } finally {
    // Who leaves has the server told: it would go on sending.
    await reader.cancel().catch(() => {});
  }
}

function parse(block: string): { id: string | undefined; name: string; data: unknown } {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
  }
  const data = fields.get('data');
  return {
    id: fields.get('id'),
    name: fields.get('event') ?? 'message',
    data: data === undefined ? undefined : (JSON.parse(data) as unknown),
  };
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { detail, code, status } = Object(error) as Record<string, unknown>;
  if (typeof code !== 'string' || typeof detail !== 'string')
    return new Problem('the stream broke off', 'unreachable', 0);
  return new Problem(detail, code, Number(status));
}

function later(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener('abort', over);
  });
}
