import { type Browser, chromium } from 'playwright-core';
import { service } from '#services';

/** A browser of its own, without a window, that asks nobody on the network for anything. Close it when done. */
export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: service('chromium').path,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
