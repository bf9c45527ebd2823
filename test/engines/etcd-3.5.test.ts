import { etcdSuites } from './etcd-suite.js';

etcdSuites('3.5', 'etcd-3.5.test.ts');
