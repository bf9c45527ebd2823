import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** Ends the output with the one line that says how it went: `N passed, N failed`. */
export default class CountReporter implements Reporter {
  #filtered = false;

  onInit(vitest: Vitest): void {
    this.#filtered = vitest.config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0;
    let failed = unhandled.length;
    const notRun: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        const { notRun: reason } = test.meta();
        if (reason !== undefined) notRun.push(reason);
        else if (state === 'passed') passed++;
        // A test that did not run is not a passed one, unless -t asked for others.
        else if (state !== 'skipped' || !this.#filtered) failed++;
      }
      const collected = [...module.children.allTests()].length > 0;
      if (!collected || module.errors().length > 0) failed++;
    }
    const missing = notRun.map((reason) => `not run: ${reason}\n`).join('');
    const told = notRun.length === 0 ? '' : `\n${missing}${notRun.length} not run\n`;
    process.once('exit', () =>
      process.stdout.write(`${told}\n${passed} passed, ${failed} failed\n`),
    );
    if (failed > 0) process.exitCode = 1;
  }
}
