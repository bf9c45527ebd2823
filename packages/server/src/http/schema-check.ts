import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { WaymarkError } from 'waymark';

/**
 * Checks requests against their schemas. Bodies are taken as they are: a `null` never becomes a 0. What comes in a URL is text, so
 * numbers and flags are read from it first; `?tree` alone is `true`, and a parameter given
 * twice is refused where it is no list.
 */
export const compileCheck: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Compiled with the first request: all of them at once are a tenth of a server's start.
  let compiled: Validator | undefined;
  return (data: unknown) => {
    const check = (compiled ??= Compile(schema));
    const value = httpPart === 'body' ? data : fromText(schema, data);
    if (check.Check(value)) return { value };
    return { error: refusal(httpPart ?? 'request', check.Errors(value)) };
  };
};

interface Fault {
  readonly instancePath: string;
  readonly message: string;
}

function refusal(part: string, faults: readonly Fault[]): WaymarkError {
  const told = faults
    .slice(0, 3)
    .map(({ instancePath, message }) => `${instancePath || part} ${message}`);
  return new WaymarkError('invalid', `${part}: ${told.join('; ').slice(0, 300)}`);
}

interface Property {
  readonly type?: string;
  readonly anyOf?: readonly Property[];
}

function fromText(schema: TSchema, data: unknown): unknown {
  const properties =
    (schema as { readonly properties?: Record<string, Property> }).properties ?? {};
  const entries = Object.entries((data ?? {}) as Record<string, unknown>);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, read(typeOf(properties[name]), value)]),
  );
}

/** Of what is a number or digits: how much a number can say. */
function typeOf(property: Property | undefined): string | undefined {
  return property?.anyOf?.some(({ type }) => type === 'integer') === true
    ? 'leaseId'
    : property?.type;
}

function exact(text: string): number | string {
  const number = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : text;
}

function read(type: string | undefined, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (type === 'array') return [value];
  if (type === 'integer') return /^\d{1,16}$/.test(value) ? Number(value) : value;
  if (type === 'leaseId') return exact(value);
  if (type !== 'boolean') return value;
  if (value === '' || value === 'true' || value === '1') return true;
  return value === 'false' || value === '0' ? false : value;
}
