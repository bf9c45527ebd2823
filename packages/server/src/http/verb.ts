import { rawPath } from './inputs.js';

/** Tells routes apart by what stands after a path: a wildcard is the end of a URL. */
export const verb = {
  name: 'verb',
  // The router keeps its routes here, and knows alone what they are.
  storage: () => {
    const routes = new Map<unknown, never>();
    return {
      get: (key: unknown) => routes.get(key) ?? null,
      set: (key: unknown, route: never) => void routes.set(key, route),
    };
  },
  deriveConstraint: ({ url }: { readonly url?: string | undefined }) => lastOf(url ?? ''),
};

/** A route's URL in the OpenAPI document: `*` is a path, and its verb stands after it. */
export function shownUrl(
  url: string,
  { constraints, config }: { readonly constraints?: object; readonly config?: object },
): string {
  const { shownUrl: shown } = (config ?? {}) as { readonly shownUrl?: string };
  if (shown !== undefined) return shown;
  const { verb: last } = (constraints ?? {}) as { readonly verb?: string };
  return url.replace(/\*$/, last === undefined ? ':path' : `:path/${last}`);
}

function lastOf(url: string): string {
  const path = rawPath(url);
  return path.slice(path.lastIndexOf('/') + 1);
}
