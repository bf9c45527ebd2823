import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files of a minute and more on two cores, the longest first: begun last, one would keep a single worker busy while the other waits. */
const long = [
  'cluster/recover',
  'etcd/etcdctl',
  'faults/stash-moves',
  'faults/cluster',
  'faults/stash-nodes-lost',
  'delivery/rig',
  'recipes/postgres',
  'recipes/etcd',
  'locks/lock-set',
  'linearizability/remote',
  'cluster/restarts',
  'cluster/servers',
  'endpoints/xmpp',
  'watchers/take-over',
  'engines/remote-elsewhere',
  'cluster/applications',
].map((name) => `/test/${name}.test.ts`);

/** Files in the order of the list, then the others as Vitest would have them. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = long.findIndex((name) => moduleId.endsWith(name));
      return at === -1 ? long.length : at;
    };
    return others.toSorted((one, other) => rank(one) - rank(other));
  }
}
