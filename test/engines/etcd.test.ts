import { etcdSuites } from './etcd-suite.js';

etcdSuites('3.4', 'etcd.test.ts');
