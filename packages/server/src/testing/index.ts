/** Servers for the tests of other people's programs. */
export { type EtcdForTests, startEtcd, type StartEtcdOptions } from './start-etcd.js';
