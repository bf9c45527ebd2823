import { type Command, Option } from 'commander';
import { WaymarkError } from 'waymark';
import type { ClientCert, TlsOptions } from '../tls.js';

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
  readonly clientCert?: ClientCert;
  readonly tlsOnly: boolean;
}

export function addTlsFlags(command: Command): Command {
  return command
    .option('--tls-cert <file>', 'TLS too, on every address: the certificate, as PEM')
    .option('--tls-key <file>', 'and its key')
    .option('--client-ca <file>', "ask clients for certificates, of this authority's")
    .addOption(
      new Option(
        '--client-cert <rule>',
        'required: none gets in without; wanted: none with a wrong one',
      )
        .choices(['required', 'wanted'])
        .default(undefined, 'required'),
    )
    .option(
      '--tls-only',
      'refuse plain text from other machines; with required client certificates, listen beyond loopback',
      false,
    );
}

/** @throws {WaymarkError} `invalid` for a certificate without a key, and for rules without a certificate */
export function tlsOf(options: TlsFlags): TlsOptions | undefined {
  const { tlsCert: cert, tlsKey: key, clientCa, clientCert, tlsOnly: only } = options;
  if (cert !== undefined && key !== undefined) return { cert, key, clientCa, clientCert, only };
  const asked = [cert, key, clientCa, clientCert].some((one) => one !== undefined) || only;
  if (asked) throw new WaymarkError('invalid', 'TLS needs --tls-cert and --tls-key');
  return undefined;
}
