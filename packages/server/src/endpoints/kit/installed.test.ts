import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { isWaymarkError } from 'waymark/engine';
import { checkInstalled } from './installed.js';

test('a client that is not installed is named, with the command that installs it', () => {
  checkInstalled('amqp', ['amqplib']);
  const nowhere = pathToFileURL('/nowhere/at/all.js').href;
  const check = (): void => checkInstalled('nats', ['@nats-io/jetstream', 'node:fs'], nowhere);
  expect(check).toThrow(
    'nats:// needs the package @nats-io/jetstream: npm install @nats-io/jetstream',
  );
  expect(check).toThrow(expect.toSatisfy((error) => isWaymarkError(error, 'unavailable')));
});
