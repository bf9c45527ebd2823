/** Members of a cluster: an entry of its own, as it brings the client of etcd along. */
export { type ClusterOptions, makeMember, type MakeMemberOptions, openCluster } from './cluster.js';
export type { Cluster, ClusterStatus } from './member.js';
export { askMember } from './control.js';
export type { JoinGrant, JoinRequest } from './join.js';
export { checkSettings, type MemberSettings } from './cluster-url.js';
export { etcdVersion } from './etcd-binary.js';
