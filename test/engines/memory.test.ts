import { describe, test } from 'vitest';
import { engineSuite, propertySuite } from 'waymark/testing';
import { openMemory, runsOf } from './engines.js';

const suite = { name: 'memory', runner: { describe, test }, open: openMemory };

engineSuite(suite);
propertySuite({ ...suite, ...runsOf('memory.test.ts', 1_000) });
