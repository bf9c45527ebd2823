import { execFileSync } from 'node:child_process';
/** Installs Debian packages that are missing; needs root and the network once. */
export function ensureDebian(packages) {
    const missing = packages.filter((name) => !installed(name));
    if (missing.length === 0)
        return;
    process.stderr.write(`installing ${missing.join(' ')} …\n`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    try {
        execFileSync('/usr/bin/apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
            env,
            stdio: 'pipe',
        });
    }
    catch {
        execFileSync('/usr/bin/apt-get', ['update'], { env, stdio: 'pipe' });
        execFileSync('/usr/bin/apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
            env,
            stdio: 'pipe',
        });
    }
}
function installed(name) {
    try {
        const status = execFileSync('/usr/bin/dpkg-query', ['-W', '-f', '${Status}', name], {
            stdio: 'pipe',
        });
        return status.toString().includes('install ok installed');
    }
    catch {
        return false;
    }
}
//# sourceMappingURL=debian.js.map