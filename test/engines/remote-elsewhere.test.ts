import { describe, test } from 'vitest';
import { engineSuite, propertySuite } from 'waymark/testing';
import { openServedElsewhere, runsOf } from './engines.js';
import { onElsewhere } from './elsewhere.js';

onElsewhere((name, url) => {
  const open = () => openServedElsewhere(url());
  const suite = { name: `remote over ${name}`, runner: { describe, test }, open };
  engineSuite(suite);
  propertySuite({ ...suite, ...runsOf('remote-elsewhere.test.ts', 10) });
});
