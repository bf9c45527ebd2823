import type { Reporter, TestModule } from 'vitest/node';

/** Ends the output with the one line that says how it went: `N passed, N failed`. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandled.length;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        // A test that did not run is not a passed one.
        else failed++;
      }
      const collected = [...module.children.allTests()].length > 0;
      if (!collected || module.errors().length > 0) failed++;
    }
    process.once('exit', () => process.stdout.write(`\n${passed} passed, ${failed} failed\n`));
    if (failed > 0) process.exitCode = 1;
  }
}
