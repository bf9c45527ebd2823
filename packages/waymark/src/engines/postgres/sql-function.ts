import { bodyQuote } from './postgres-url.js';

/** A function in the schema `s`, in PL/pgSQL. */
export function sqlFunction(signature: string, body: string, kind = 'volatile'): string {
  return `create or replace function ${signature} language plpgsql ${kind} as ${bodyQuote}
#variable_conflict use_column
${body}
${bodyQuote};`;
}
