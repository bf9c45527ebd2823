/** What a field means to HTTP/2 itself; told once for each entry of a table, and not again whenever a request names it. */
export const fieldKinds = {
  plain: 0,
  method: 1,
  scheme: 2,
  path: 3,
  authority: 4,
  contentLength: 5,
  /** Makes the request that has it malformed (RFC 9113 section 8.1.1). */
  malformed: 6,
} as const;

export interface FieldEntry {
  readonly field: readonly [name: string, value: string];
  /** As RFC 7541 section 4.1 counts: the bytes of name and value, and 32. */
  readonly size: number;
  readonly kind: number;
}

export function fieldEntry(name: string, value: string): FieldEntry {
  return {
    field: [name, value],
    size: name.length + value.length + 32,
    kind: kindOf(name, value),
  };
}

/** What a request said with one block of field lines: its head, or its trailers. Never changed once it is whole. */
export class FieldBlock {
  readonly fields: [name: string, value: string][] = [];
  method = '';
  scheme = '';
  path = '';
  /** Of the body, as the client announced it; −1 when it did not. */
  contentLength = -1;
  /** More than the limit: the rest was read and not kept. */
  tooLarge = false;
  /** Something no block may hold. */
  malformed = false;
  /** Has pseudo-header fields, which trailers have not. */
  pseudo = false;
  /** Undefined when the client did not say. */
  authority: string | undefined;
  #left: number;

  constructor(fieldBytesMax: number) {
    this.#left = fieldBytesMax;
  }

  add(entry: FieldEntry): void {
    this.#left -= entry.size;
    if (this.#left < 0) {
      this.tooLarge = true;
      return;
    }
    switch (entry.kind) {
      case fieldKinds.plain:
        break;
      case fieldKinds.contentLength:
        this.#announce(entry.field[1]);
        break;
      case fieldKinds.malformed:
        this.malformed = true;
        return;
      default:
        return this.#pseudo(entry.kind, entry.field[1]);
    }
    this.fields.push(entry.field as [string, string]);
  }

  /** Whether this is the head of a request as RFC 9113 section 8.3.1 wants it. */
  isHead(): boolean {
    if (this.malformed || this.method === '') return false;
    if (this.method === 'CONNECT')
      return this.authority !== undefined && this.scheme === '' && this.path === '';
    if (this.scheme === '') return false;
    return this.path.startsWith('/') || (this.path === '*' && this.method === 'OPTIONS');
  }

  /** Pseudo-header fields come before the others, each once, and only those of requests. */
  #pseudo(kind: number, value: string): void {
    this.pseudo = true;
    if (this.fields.length > 0) this.malformed = true;
    if (kind === fieldKinds.authority) {
      if (this.authority !== undefined) this.malformed = true;
      this.authority = value;
      return;
    }
    const before =
      kind === fieldKinds.method
        ? this.method
        : kind === fieldKinds.scheme
          ? this.scheme
          : this.path;
    if (before !== '' || value === '') this.malformed = true;
    if (kind === fieldKinds.method) this.method = value;
    else if (kind === fieldKinds.scheme) this.scheme = value;
    else this.path = value;
  }

  #announce(value: string): void {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : -1;
    if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length))
      this.malformed = true;
    this.contentLength = length;
  }
}

function kindOf(name: string, value: string): number {
  if (!isValue(value)) return fieldKinds.malformed;
  if (name.charCodeAt(0) === 0x3a) return pseudoKindOf(name);
  if (!isName(name)) return fieldKinds.malformed;
  switch (name) {
    case 'content-length':
      return fieldKinds.contentLength;
    case 'te':
      return value.toLowerCase() === 'trailers' ? fieldKinds.plain : fieldKinds.malformed;
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'transfer-encoding':
    case 'upgrade':
      return fieldKinds.malformed;
    default:
      return fieldKinds.plain;
  }
}

function pseudoKindOf(name: string): number {
  switch (name) {
    case ':method':
      return fieldKinds.method;
    case ':scheme':
      return fieldKinds.scheme;
    case ':path':
      return fieldKinds.path;
    case ':authority':
      return fieldKinds.authority;
    default:
      return fieldKinds.malformed;
  }
}

/** RFC 9113 section 8.2.1: no controls, no spaces, no upper case, no colon but the first of a pseudo-header field. */
function isName(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const char = name.charCodeAt(i);
    if (char <= 0x20 || char >= 0x7f || char === 0x3a || (char >= 0x41 && char <= 0x5a))
      return false;
  }
  return name.length > 0;
}

/** The same section: no NUL, no line ends, no white space at either side. */
function isValue(value: string): boolean {
  if (value.length === 0) return true;
  for (let i = 0; i < value.length; i++) {
    const char = value.charCodeAt(i);
    if (char === 0 || char === 0x0a || char === 0x0d) return false;
  }
  return !isSpace(value.charCodeAt(0)) && !isSpace(value.charCodeAt(value.length - 1));
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x09;
}
