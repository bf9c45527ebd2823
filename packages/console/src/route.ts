import { useEffect, useState } from 'preact/hooks';

/** Where one is, in the part of the address that browsers keep to themselves: `#/locks/default/orders/42`. */
export interface Route {
  readonly view: string;
  readonly ns: string;
  readonly path: string;
}

export function linkTo(view: string, ns?: string, path = '/'): string {
  if (ns === undefined) return `#/${view}`;
  const tail = path === '/' ? '' : path.split('/').map(encodeURIComponent).join('/');
  return `#/${view}/${encodeURIComponent(ns)}${tail}`;
}

export function goTo(view: string, ns?: string, path?: string): void {
  location.hash = linkTo(view, ns, path);
}

export function parseRoute(hash: string): Route {
  const [view = '', ns = '', ...rest] = hash.replace(/^#\/?/, '').split('/').map(decode);
  return { view: view || 'overview', ns: ns || 'default', path: `/${rest.join('/')}` };
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
}

/** `/a/b` and `c`: `/a/b/c`. */
export function join(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
