import { WaymarkError } from 'waymark/engine';

/** A value of 1 MiB in base64, and its key. */
const lineBytesMax = 2_097_152;

/** Lines of JSON from a stream, as they come. @throws {WaymarkError} `invalid` naming the line, `too_large` for one of more than 2 MiB */
export async function* jsonLines(
  source: AsyncIterable<Uint8Array | string>,
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const decoder = new TextDecoder();
  let rest = '';
  let line = 0;
  for await (const chunk of source) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) {
      line++;
      if (text.trim() !== '') yield parse(text, line);
    }
    if (rest.length > lineBytesMax) throw tooLong(line + 1);
  }
  rest += decoder.decode();
  if (rest.trim() !== '') yield parse(rest, line + 1);
}

function parse(text: string, line: number): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new WaymarkError('invalid', `line ${line} is not JSON`, {}, cause);
  }
  throw new WaymarkError('invalid', `line ${line} is no object`);
}

function tooLong(line: number): WaymarkError {
  const facts = { limit: 'lineBytesMax', max: lineBytesMax };
  return new WaymarkError('too_large', `line ${line} has more than ${lineBytesMax} bytes`, facts);
}
