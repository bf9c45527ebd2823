import axe from 'axe-core';
import type { BrowserContext, Page } from 'playwright-core';
import { launchChromium } from './chromium.js';

/** A real Chromium without a window, and pages in it that keep what went wrong on them. */

export interface Browser extends AsyncDisposable {
  open(url: string): Promise<Tab>;
}

export interface Tab {
  readonly page: Page;
  /** Violations of the policy for contents, errors of scripts, and requests that left the server, since it was opened. */
  readonly troubles: readonly string[];
  /** What axe finds of serious or critical weight on the page as it stands. */
  axe(): Promise<readonly string[]>;
}

export async function launch(): Promise<Browser> {
  const chromium = await launchChromium();
  const context = await chromium.newContext({
    viewport: { width: 1_200, height: 800 },
    reducedMotion: 'reduce',
  });
  return {
    open: (url) => openTab(context, url),
    [Symbol.asyncDispose]: () => chromium.close(),
  };
}

async function openTab(context: BrowserContext, url: string): Promise<Tab> {
  const page = await context.newPage();
  const troubles: string[] = [];
  await page.exposeFunction('toldTrouble', (what: string) => void troubles.push(what));
  await page.addInitScript({ content: watchPolicy });
  await page.addInitScript({ content: axe.source });
  page.on('pageerror', (error) => troubles.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|Trusted/.test(message.text())) troubles.push(message.text());
  });
  const { origin } = new URL(url);
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) troubles.push(`left: ${request.url()}`);
  });
  await page.goto(url);
  return { page, troubles, axe: () => runAxe(page) };
}

const watchPolicy = `addEventListener('securitypolicyviolation', (event) =>
  toldTrouble('policy: ' + event.violatedDirective + ' ' + event.blockedURI));`;

async function runAxe(page: Page): Promise<readonly string[]> {
  const found = (await page.evaluate('axe.run(document)')) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[];
  };
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`);
}
