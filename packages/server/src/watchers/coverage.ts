import type { EndpointView, Registry } from './registry.js';

/** The namespaces that a watch over history tells of, and whether those are all that its endpoints are told of. */
export class Coverage {
  readonly namespaces = new Set<string>();
  /** As they were looked at last. */
  readonly #looked = new Map<EndpointView, number>();

  /** From now on all of its namespaces are told of. */
  add(registry: Registry, id: string): void {
    const endpoint = registry.endpoints.get(id);
    if (endpoint === undefined) return;
    this.#looked.set(endpoint, endpoint.modRevision);
    for (const { record } of endpoint.watchers.values()) this.namespaces.add(record.namespace);
  }

  /** An endpoint that nobody registered at since is not looked at again. */
  holds(registry: Registry, id: string): boolean {
    const endpoint = registry.endpoints.get(id);
    if (endpoint === undefined || this.#looked.get(endpoint) === endpoint.modRevision) return true;
    for (const { record } of endpoint.watchers.values()) {
      if (!this.namespaces.has(record.namespace)) return false;
    }
    this.#looked.set(endpoint, endpoint.modRevision);
    return true;
  }
}
