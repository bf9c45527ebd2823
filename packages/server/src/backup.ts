import type { CallOptions, Engine, Entry, Revision } from 'waymark/engine';

const pageSize = 500;

export interface BackupHeader {
  readonly revision: Revision;
  readonly identity: string;
  /** A SHA-256 of the whole follows the last line, in 32 bytes. */
  readonly sealed?: 'sha256';
}

/**
 * Everything at one revision, as lines of JSON: a header, each key, and a footer with the count, so that a cut-off copy is told from
 * a whole one. Leases are not kept: their keys would outlive their owners. Each piece is some whole lines.
 */
export async function* backupLines(
  engine: Engine,
  header: BackupHeader,
  options: CallOptions = {},
): AsyncGenerator<string> {
  const { revision: at } = header;
  yield `${JSON.stringify({ waymark: 'backup', format: 1, ...header })}\n`;
  let count = 0;
  for (let key = ''; ;) {
    const page = await engine.read({ key, end: '', at, limit: pageSize, uncounted: true }, options);
    const kept = page.entries.filter((entry) => entry.lease === 0);
    count += kept.length;
    yield kept.map(line).join('');
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) break;
    key = `${last.key}\0`;
  }
  yield `${JSON.stringify({ end: true, entries: count })}\n`;
}

function line({ key, value, createRevision, modRevision, version }: Entry): string {
  const text = { key: base64(key), value: base64(value), createRevision, modRevision, version };
  return `${JSON.stringify(text)}\n`;
}

function base64(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('base64');
}
