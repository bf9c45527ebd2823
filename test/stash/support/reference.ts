/** Placement as the specification has it (rules D1.1 to D1.3), in whole numbers of 64 bits and without a thought for speed: what the library's is held against. */

const word = (1n << 64n) - 1n;

export interface ReferenceNode {
  readonly id: string;
  readonly zone: string;
  readonly weight: number;
}

/** @param bytes  one char a byte */
export function referenceHash(bytes: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(bytes, 'latin1')) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & word;
  }
  return mixed(hash);
}

export function referencePartition(index: string, key: string): number {
  return Number(referenceHash(`${index}\0${key}`) >> 52n);
}

/** @returns ids, the first-ranked first */
export function referenceReplicas(
  nodes: readonly ReferenceNode[],
  replicas: number,
  partition: number,
): string[] {
  const ranked = nodes
    .map((node) => ({ ...node, score: score(node, partition) }))
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
  const taken: string[] = [];
  for (let round = 0; taken.length < Math.min(replicas, nodes.length); round++) {
    const zones = [...new Set(ranked.map((node) => node.zone))];
    const next = zones.map((zone) => ranked.filter((node) => node.zone === zone)[round]?.id);
    taken.push(...ranked.map(({ id }) => id).filter((id) => next.includes(id)));
  }
  return taken.slice(0, replicas);
}

function score({ id, weight }: ReferenceNode, partition: number): number {
  const seed = referenceHash(Buffer.from(id, 'utf8').toString('latin1'));
  const drawn = mixed(mixed(BigInt(partition + 1)) ^ seed) >> 12n;
  return weight / -Math.log((Number(drawn) + 0.5) / 2 ** 52);
}

function mixed(start: bigint): bigint {
  let hash = start ^ (start >> 33n);
  hash = (hash * 0xff51afd7ed558ccdn) & word;
  hash ^= hash >> 33n;
  hash = (hash * 0xc4ceb9fe1a85ec53n) & word;
  return hash ^ (hash >> 33n);
}
