import { sized } from '../faults/random.js';
import type { EtcdVersion } from './etcd.js';
import type { PostgresVersion } from './postgres.js';

/** What suites over a server, a mirror or a space stand on: in each run the older release, in the long form the newer one too. The engines themselves run on both, always. */
export const etcdVersions = sized<readonly EtcdVersion[]>(['3.4'], ['3.4', '3.5']);
export const postgresVersions = sized<readonly PostgresVersion[]>([15], [15, 18]);
