import { execFileSync } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A folder of certificates: `server`, `client` and `root` under the authority `ca`, and `stranger` under one of its own; each `.crt` and `.key`. They are for
 * 127.0.0.1 and localhost.
 */
export async function certificates(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-tls-'));
  const openssl = (line: string): void => {
    execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'pipe' });
  };
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2';
  const names = '-addext subjectAltName=IP:127.0.0.1,DNS:localhost';
  openssl(`req -x509 ${key} -subj /CN=ca -keyout ca.key -out ca.crt`);
  openssl(`req -x509 ${key} -subj /CN=stranger -keyout stranger.key -out stranger.crt`);
  for (const name of ['server', 'client', 'root']) {
    openssl(
      `req -x509 ${key} -subj /CN=${name} ${names} -CA ca.crt -CAkey ca.key -keyout ${name}.key -out ${name}.crt`,
    );
  }
  return folder;
}
