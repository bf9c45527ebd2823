import type { Clock, Engine, Random } from 'waymark/engine';
import { isLoopback } from '../listen-address.js';
import { claimLimitsOf, type ServerOptions } from '../server-options.js';
import { isMutual } from '../tls.js';
import { Access } from './access.js';

/** Who may do what at a server: what its engine keeps of that, and switched on where that is asked for. */
export async function accessOf(
  options: ServerOptions,
  parts: { readonly engine: Engine; readonly clock: Clock; readonly random: Random },
): Promise<Access> {
  const { audit = toStandardError, firstToken = tellToken, insecure = false, tls } = options;
  const claims = claimLimitsOf(options);
  const access = await Access.open({ ...parts, grantedIn: options.etcdNamespace, audit, claims });
  try {
    if (options.access === true && !access.on) {
      const token = await access.enable();
      if (token !== null) firstToken(token);
    }
    if (options.accessRecover === true) firstToken(await access.recover());
    // Who listens elsewhere because of it never stands open.
    if (access.on && !insecure && !isMutual(tls) && listensElsewhere(options)) access.require();
    return access;
  } catch (error) {
    await access[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whether it may be reached from elsewhere: everyone is to, has a certificate, or is asked who it is. */
export function isOpenElsewhere(options: ServerOptions, access: Access): boolean {
  const { insecure = false, tls } = options;
  return insecure || isMutual(tls) || (access.on && listensElsewhere(options));
}

/** Whether others than this machine reach it. */
function listensElsewhere({ listen = [] }: ServerOptions): boolean {
  return listen.some((address) => {
    const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    return !address.startsWith('unix:') && !isLoopback(host);
  });
}

function toStandardError(line: string): void {
  process.stderr.write(line);
}

function tellToken(token: string): void {
  const text = 'access is on. This token of the user root is shown once: keep it safe';
  process.stderr.write(`${text}\n\n  ${token}\n\n`);
}
