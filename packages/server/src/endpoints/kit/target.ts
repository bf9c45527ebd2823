import type { Target } from '../endpoint.js';
import { normalUri, type UriParts } from './uri.js';

/**
 * A target that keeps its URI to itself: it holds the password, and what logs or inspects a target sees none.
 *
 * @param more.normal  default: the canonical form of the parts
 */
export function targetOf(
  parts: UriParts,
  more: { readonly fences: boolean; readonly normal?: string | undefined },
): Target {
  return new ReadTarget(parts, more.normal ?? normalUri(parts), more.fences);
}

class ReadTarget implements Target {
  readonly normal: string;
  readonly host: string;
  readonly port: number;
  readonly fences: boolean;
  readonly #uri: string;

  constructor({ uri, host, port }: UriParts, normal: string, fences: boolean) {
    this.#uri = uri;
    this.normal = normal;
    this.host = host;
    this.port = port;
    this.fences = fences;
  }

  get uri(): string {
    return this.#uri;
  }
}
