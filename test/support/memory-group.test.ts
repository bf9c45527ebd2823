import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryGroup } from './memory-group.js';

/** Folders with the files that the kernel would make: a machine has one version of control groups for its memory, and the tests run on either. */
let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'waymark-cgroup-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const name = `waymark-test-${process.pid}`;

function lay(directory: string, files: Readonly<Record<string, string>>): string {
  const path = join(root, directory);
  mkdirSync(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

test.each([
  {
    version: 1,
    above: { directory: 'memory', files: { 'memory.limit_in_bytes': '9223372036854771712\n' } },
    directory: `memory/${name}`,
    limit: 'memory.limit_in_bytes',
    files: {
      'memory.limit_in_bytes': '9223372036854771712\n',
      'memory.usage_in_bytes': '4096000\n',
      'memory.stat': 'cache 1\nrss 2\ntotal_cache 3\ntotal_rss 8192\n',
      'memory.failcnt': '7\n',
    },
  },
  {
    version: 2,
    above: { directory: '.', files: { 'cgroup.controllers': 'cpu io memory pids\n' } },
    directory: name,
    limit: 'memory.max',
    files: {
      'memory.max': 'max\n',
      'memory.current': '4096000\n',
      'memory.stat': 'anon 8192\nfile 1\nkernel 2\n',
      'memory.events': 'low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\n',
    },
  },
])('memory is bounded by control groups of version $version', ({ above, ...of }) => {
  lay(above.directory, above.files);
  const path = lay(of.directory, of.files);
  const group = MemoryGroup.make(root);
  expect(group.usedBytes).toBe(4_096_000);
  expect(group.anonymousBytes).toBe(8_192);
  expect(group.refusals).toBe(7);
  group.limit(65_536);
  expect(readFileSync(join(path, of.limit), 'utf8')).toBe('65536');
  const [shell, , script, procs, ...command] = group.around(['node', 'main.js']);
  expect([shell, procs, ...command]).toEqual(['sh', join(path, 'cgroup.procs'), 'node', 'main.js']);
  expect(script).toContain('exec');
});

test('where none can be made it is said what to do: also where a parent of version 2 does not hand memory on', () => {
  lay('.', { 'cgroup.controllers': 'cpu\n' });
  expect(() => MemoryGroup.make(root)).toThrow(/cgroup\.subtree_control/);
  expect(() => MemoryGroup.make(join(root, 'absent'))).toThrow('no control group for memory');
});
