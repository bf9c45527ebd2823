import { describe, test } from 'vitest';
import { engineSuite, propertySuite } from 'waymark/testing';
import { openFile, runsOf } from './engines.js';

const suite = { name: 'file', runner: { describe, test }, open: openFile };

engineSuite(suite);
propertySuite({ ...suite, ...runsOf('file.test.ts', 100) });
