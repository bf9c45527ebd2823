import { type Browser, chromium } from 'playwright-core';
import { service } from '#services';

/** None of what a browser asks its maker for: it speaks to the server under test alone. */
const quiet = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A browser of its own, without a window, that asks nobody on the network for anything. Close it when done. */
export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: service('chromium').path,
    chromiumSandbox: false,
    args: quiet,
  });
}
