import type { EndpointKind, EndpointSettings } from '../endpoints/endpoint.js';
import { SharedConnections } from '../endpoints/kit/shared-connections.js';
import type { Dialer } from '../endpoints/kit/dialer.js';
import { connectionCases } from './endpoint-suite/connections.js';
import type { CaseGround, EndpointCase, EndpointUnderTest } from './endpoint-suite/ground.js';
import { fenceCases } from './endpoint-suite/fences.js';
import { refusalCases, type WrongUri } from './endpoint-suite/refusals.js';
import { valueCases } from './endpoint-suite/values.js';
import { plainDialer } from './plain-dialer.js';

export interface EndpointSuite {
  /** Of the runner: `test` of vitest, node:test and others fits. */
  readonly test: (name: string, run: () => Promise<void>) => void;
  /** Stands before every case's name. */
  readonly name: string;
  readonly kind: EndpointKind;
  /** A fresh place at a real server: nothing was sent to it yet. Called for each case. */
  start(): Promise<EndpointUnderTest>;
  /** URIs that this kind refuses at `parse`, and the part that the error must name. Common ones are tried anyway. */
  readonly wrong: readonly WrongUri[];
  /** Default: structured, no secrets, 10 s. */
  readonly settings?: Partial<EndpointSettings> | undefined;
  /** Default: one that reaches every address. */
  readonly dialer?: Dialer | undefined;
  /** Names of cases that this kind cannot hold, each with the reason. */
  readonly except?: Readonly<Record<string, string>> | undefined;
  /** How long a case waits for what must come before it says that it did not. Default 10 000. */
  readonly patienceMs?: number | undefined;
}

/**
 * What every kind of endpoint holds, against the real server: docs/spec/watchers.md, W2 and W3, as far as drivers answer for it. Cases of fencing run
 * where the target says `fences`, those of shared connections where the place names a `sibling`.
 */
export function endpointSuite(suite: EndpointSuite): void {
  const except = suite.except ?? {};
  const cases = [...valueCases, ...connectionCases, ...fenceCases, ...refusalCases(suite.wrong)];
  const names = new Set(cases.map(({ name }) => name));
  for (const name of Object.keys(except)) {
    if (!names.has(name)) throw new TypeError(`'${name}' is no case of endpointSuite`);
  }
  for (const one of cases) {
    if (except[one.name] === undefined) {
      suite.test(`${suite.name}: ${one.name}`, () => runCase(suite, one));
    }
  }
}

async function runCase(suite: EndpointSuite, one: EndpointCase): Promise<void> {
  await using place = await suite.start();
  const settings: EndpointSettings = {
    format: 'structured',
    secrets: [],
    timeoutMs: 10_000,
    ...suite.settings,
  };
  const target = suite.kind.parse(place.uri, settings);
  const connections = new SharedConnections();
  const tools = {
    dialer: suite.dialer ?? plainDialer(),
    connections,
    wallNow: () => Date.now(),
  };
  const ground: CaseGround = {
    kind: suite.kind,
    place,
    target,
    settings,
    connections,
    patienceMs: suite.patienceMs ?? 10_000,
    open: (at = target) => suite.kind.open(at, settings, tools),
  };
  await one.run(ground);
}
