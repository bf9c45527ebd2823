import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { isWaymarkError } from 'waymark/engine';
import type { EndpointSettings } from '../../endpoints/endpoint.js';
import {
  type CaseGround,
  casesOf,
  deliver,
  deliveryOf,
  type EndpointCase,
  eventAt,
} from './ground.js';

export interface WrongUri {
  readonly uri: string;
  /** What the message must hold: the part that is wrong. */
  readonly names: string | RegExp;
  readonly settings?: Partial<EndpointSettings> | undefined;
}

/** The URI that is good, spoilt as any can be. */
function commonlyWrong({ place }: CaseGround): WrongUri[] {
  const { uri } = place;
  return [
    { uri: uri.replace(/^[a-z]+/i, 'bogus'), names: 'bogus' },
    { uri: `${uri}#part`, names: 'fragment' },
    { uri: `${uri}\r\n`, names: 'control' },
    { uri: `${uri}${'x'.repeat(2_048)}`, names: /\d bytes/ },
    { uri: '', names: 'URI' },
  ];
}

function shows(what: unknown, secrets: readonly string[], where: string): void {
  const texts = [inspect(what, { depth: 20, showHidden: true }), String(what)];
  if (what instanceof Error) texts.push(what.message, String(what.stack));
  else texts.push(JSON.stringify(what) ?? '');
  for (const text of texts) {
    for (const secret of secrets) assert.ok(!text.includes(secret), `${where} shows a secret`);
  }
}

export function refusalCases(wrong: readonly WrongUri[]): EndpointCase[] {
  return casesOf({
    'a wrong URI is refused, naming the part': async (ground) => {
      for (const { uri, names, settings } of [...wrong, ...commonlyWrong(ground)]) {
        let refusal: unknown;
        try {
          ground.kind.parse(uri, { ...ground.settings, ...settings });
        } catch (error) {
          refusal = error;
        }
        assert.ok(isWaymarkError(refusal, 'invalid'), `not refused: ${uri}`);
        const { message } = refusal;
        const named = typeof names === 'string' ? message.includes(names) : names.test(message);
        assert.ok(named, `${uri} is refused without naming ${String(names)}: ${message}`);
        shows(refusal, ground.place.secrets ?? [], `the refusal of ${uri.slice(0, 12)}…`);
      }
    },

    'the canonical form is its own, and holds no secret': async (ground) => {
      const { target, place } = ground;
      assert.equal(ground.kind.parse(place.uri, ground.settings).normal, target.normal);
      for (const secret of place.secrets ?? []) assert.ok(!target.normal.includes(secret));
    },

    'neither errors nor what is inspected show a secret': async (ground) => {
      const { place, target } = ground;
      const secrets = [...(place.secrets ?? []), ...ground.settings.secrets];
      shows(target, secrets, 'the target');
      await using endpoint = ground.open();
      shows(endpoint, secrets, 'an endpoint before its first delivery');
      await deliver(ground, endpoint, deliveryOf([eventAt(1)]));
      shows(endpoint, secrets, 'an endpoint');
      await place.interrupt();
      const error = await deliver(ground, endpoint, deliveryOf([eventAt(1)])).catch(
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof Error);
      shows(error, secrets, 'the failure of a delivery');
      shows(endpoint, secrets, 'an endpoint whose connection broke');
    },
  });
}
