import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'vitest';
import type { Namespace, Space } from 'waymark';
import type { FakeClock, RecipeContext } from 'waymark/testing';
import { overMemory, overServer } from '../support/recipe-contexts.js';

/** Two clients' views of one namespace, and the clients. */
export interface Clients {
  readonly a: Namespace;
  readonly b: Namespace;
  readonly spaces: RecipeContext;
}

export const nsOf = (space: Space): Namespace => space.namespace('n');

/** A fault of an older system, shown to be gone in memory and over a server. */
export function fault(name: string, run: (clients: Clients) => Promise<void>): void {
  test.each([
    ['memory', overMemory],
    ['a server', overServer],
  ] as const)(`${name} (%s)`, async (_, open) => {
    const spaces = await open();
    try {
      await run({ a: nsOf(spaces.a), b: nsOf(spaces.b), spaces });
    } finally {
      await spaces.close();
    }
  });
}

/** Resolves when so many wait. */
export async function waiting(
  queue: { readonly explain: () => Promise<{ readonly waiters: readonly unknown[] }> },
  count: number,
): Promise<void> {
  while ((await queue.explain()).waiters.length !== count) await turn();
}

/** Lets time pass in small steps, between which renewals are answered. */
export async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 50) {
    clock.advance(50);
    await turn();
  }
}
