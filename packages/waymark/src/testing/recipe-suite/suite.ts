import type { Space } from '../../space/types.js';
import { convertCases } from './convert-cases.js';
import { electionEndCases } from './election-end-cases.js';
import { electionCases } from './election-cases.js';
import { explainCases } from './explain-cases.js';
import { guardCases } from './guard-cases.js';
import { lockCases } from './lock-cases.js';
import { listenCases } from './listen-cases.js';
import { logCases } from './log-cases.js';
import { barrierCases } from './barrier-cases.js';
import { counterCases } from './counter-cases.js';
import { memberCases } from './member-cases.js';
import { messageCases } from './message-cases.js';
import { nameLifeCases } from './name-life-cases.js';
import { namesCases } from './names-cases.js';
import { namespaceCases } from './namespace-cases.js';
import { onceCases } from './once-cases.js';
import { scheduleCases } from './schedule-cases.js';
import { semaphoreCases } from './semaphore-cases.js';
import { streamCases } from './stream-cases.js';
import { streamEndCases } from './stream-end-cases.js';
import { watchCases } from './watch-cases.js';

/** Two clients of one engine, and more where a case asks for them. */
export interface RecipeContext {
  readonly a: Space;
  readonly b: Space;
  /** One more client; closed with the context. */
  another(owner: string): Promise<Space>;
  close(): Promise<void>;
}

/** One rule of docs/spec/recipes.md, shown on two clients; throws when it is broken. */
export interface RecipeCase {
  readonly name: string;
  readonly run: (context: RecipeContext) => Promise<void>;
}

export const recipeCases: readonly RecipeCase[] = [
  ...namespaceCases,
  ...watchCases,
  ...lockCases,
  ...convertCases,
  ...guardCases,
  ...explainCases,
  ...electionCases,
  ...electionEndCases,
  ...memberCases,
  ...messageCases,
  ...streamCases,
  ...streamEndCases,
  ...listenCases,
  ...onceCases,
  ...scheduleCases,
  ...semaphoreCases,
  ...logCases,
  ...counterCases,
  ...barrierCases,
  ...namesCases,
  ...nameLifeCases,
];

/** Runs every case over what `open` gives, each on an engine of its own. */
export function recipeSuite(suite: {
  readonly name: string;
  readonly test: (name: string, run: () => Promise<void>) => void;
  readonly open: () => Promise<RecipeContext>;
}): void {
  for (const one of recipeCases) {
    suite.test(`${one.name} (${suite.name})`, async () => {
      const context = await suite.open();
      try {
        await one.run(context);
      } finally {
        await context.close();
      }
    });
  }
}
