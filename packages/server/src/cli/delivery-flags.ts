import type { Command } from 'commander';
import { secondsMs } from './context.js';

export interface DeliveryFlags {
  readonly allowEndpointNet?: readonly string[];
  readonly secretsKeyFile?: string;
  readonly xmppAccountFile?: string;
  readonly heldTime?: string;
}

/** Of what delivers to endpoints. */
export function addDeliveryFlags(command: Command): Command {
  return command
    .option(
      '--allow-endpoint-net <cidr...>',
      'networks that endpoints may lie in beside public ones: 10.0.0.0/8, 127.0.0.1/32',
    )
    .option(
      '--secrets-key-file <file>',
      'the keys that seal what endpoints keep secret; default with file:DIR: DIR.key, made when missing',
    )
    .option('--xmpp-account-file <file>', 'who messages of XMPP are from, as JSON')
    .option(
      '--held-time <duration>',
      'how long history is held back for endpoints that fail or are behind; default 4h',
    );
}

export function deliveryOf(
  { allowEndpointNet, secretsKeyFile, xmppAccountFile, heldTime }: DeliveryFlags,
  ttl: string | undefined,
) {
  const ttlMs = ttl === undefined ? undefined : secondsMs(ttl);
  const heldMs = heldTime === undefined ? undefined : secondsMs(heldTime);
  return { allowEndpointNet, secretsKeyFile, xmppAccountFile, ttlMs, heldMs };
}
