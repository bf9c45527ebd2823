/** etcd 3.4 answers under the name it had in 3.3 as well. */
export const gatewayPrefixes = ['/v3/', '/v3beta/'] as const;

/** Whether etcd's gateway answers there, be it with "not found". */
export function isGatewayPath(path: string): boolean {
  return gatewayPrefixes.some((prefix) => path.startsWith(prefix));
}
