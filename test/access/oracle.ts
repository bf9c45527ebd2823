/** What may be, worked out anew: on text alone, knowing nothing of keys, ranges or how the server reads paths. */

export interface OracleRule {
  readonly actions: readonly string[];
  readonly path: string;
}

/** One of these actions, on a path and all below it. */
export interface Need {
  readonly any: readonly string[];
  readonly path: string;
}

export function mayAll(rules: readonly OracleRule[], needs: readonly Need[]): boolean {
  return needs.every(({ any, path }) =>
    rules.some(({ actions, path: from }) => {
      const named = actions.includes('admin') || any.some((action) => actions.includes(action));
      const inside = from === '/' || path === from || path.startsWith(`${from}/`);
      return named && inside;
    }),
  );
}
