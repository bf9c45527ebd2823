import { describe, test } from 'vitest';
import { recipeSuite } from 'waymark/testing';
import { overFile, overMemory, overServer } from '../support/recipe-contexts.js';

describe('recipes', () => {
  recipeSuite({ name: 'memory', test, open: overMemory });
  recipeSuite({ name: 'file', test, open: overFile });
  recipeSuite({ name: 'a server', test, open: overServer });
});
