import { type Browser, chromium } from 'playwright-core';
import { service } from '#services';
import { quiet } from './browser.js';

/** A browser of its own, without a window, that asks nobody on the network for anything. Close it when done. */
export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: service('chromium').path,
    chromiumSandbox: false,
    args: quiet,
  });
}
