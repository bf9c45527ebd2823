import { WaymarkError } from 'waymark/engine';

/** Who messages are from. */
export interface XmppAccount {
  /** `NODE@DOMAIN`. */
  readonly jid: string;
  readonly password: string;
  /** Where its server is; default the domain. */
  readonly host?: string | undefined;
  /** Default 5222. */
  readonly port?: number | undefined;
  /** `starttls` (the default): nothing is told to a server that does not go on to TLS with a certificate for the domain. `none`: no TLS is asked for. */
  readonly tls?: 'starttls' | 'none' | undefined;
}

/** Of a file that holds an account as JSON. @throws {WaymarkError} `invalid`, naming the part */
export function readXmppAccount(text: string): XmppAccount {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw refused('is no JSON');
  }
  if (typeof read !== 'object' || read === null) throw refused('is a JSON object');
  const { jid, password, host, port, tls, ...unknown } = read as Record<string, unknown>;
  const [strange] = Object.keys(unknown);
  if (strange !== undefined) throw refused(`knows no '${strange}'`);
  if (typeof jid !== 'string' || !/^[^@/\s]+@[^@/\s]+$/.test(jid))
    throw refused("names its 'jid' as NODE@DOMAIN");
  if (typeof password !== 'string' || password === '') throw refused("has a 'password'");
  if (host !== undefined && (typeof host !== 'string' || host === ''))
    throw refused("names its 'host' as text");
  if (port !== undefined && !(Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536))
    throw refused("has a 'port' from 1 to 65535");
  if (tls !== undefined && tls !== 'starttls' && tls !== 'none')
    throw refused("says 'starttls' or 'none' for 'tls'");
  return { jid, password, host: host as string, port: port as number, tls };
}

function refused(what: string): WaymarkError {
  return new WaymarkError('invalid', `an XMPP account ${what}`);
}
