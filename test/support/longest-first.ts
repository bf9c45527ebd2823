import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of half a minute and more on two cores, the longest first: begun last, one would keep a single worker busy while the others wait. */
const long = [
  'overload/soak',
  'cluster/recover',
  'faults/stash-moves',
  'faults/stash-zones',
  'faults/cluster',
  'recipes/postgres',
  'faults/stash-nodes-lost',
  'etcd/etcdctl',
  'delivery/rig',
  'linearizability/remote',
  'locks/lock-set',
  'recipes/etcd',
  'cluster/restarts',
  'cluster/servers',
  'watchers/take-over',
  'engines/remote-elsewhere',
  'endpoints/xmpp',
  'cluster/applications',
  'cluster/namespaces',
  'engines/mirror',
  'engines/postgres',
  'elections/kills',
  'faults/cluster-locks',
  'engines/postgres-order',
  'stash/own-nodes',
  'tidy/docs',
  'durability/kill',
  'etcd/differential/fuzz',
  'cluster/mirror',
  'recipes/recipes',
  'engines/etcd',
  'engines/etcd-3.5',
  'delivery/engines',
  'faults/rig',
  'locks/expiry',
  'etcd/watch',
  'deploy/image',
  'server/streams',
].map((name) => `test/${name}.test.ts`);

/** Files in the order of the list, then the others as Vitest would have them; those that share their processes last, together. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const at = long.findIndex((name) => moduleId.endsWith(`/${name}`));
      if (at !== -1) return at;
      return project.config.isolate === false ? long.length + 1 : long.length;
    };
    return others.toSorted((one, other) => rank(one) - rank(other));
  }
}
