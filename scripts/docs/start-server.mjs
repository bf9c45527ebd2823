import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { inRoot } from './files.mjs';

/** Runs a server with nothing in it while `ask` asks it. @returns what `ask` found out */
export async function startServer(ask) {
  const folder = mkdtempSync(join(tmpdir(), 'waymark-docs-'));
  const main = inRoot('packages/server/dist/bundle/main.js');
  const flags = ['--listen', '127.0.0.1:0', '--engine', 'memory', '--stash', join(folder, 'stash')];
  const server = spawn(process.execPath, [main, '--json', 'serve', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => server.once('close', resolve));
  try {
    for await (const line of createInterface({ input: server.stdout })) {
      const [address] = JSON.parse(line).addresses;
      return await ask(address.startsWith('http') ? address : `http://${address}`);
    }
    throw new Error('the server ended before it listened');
  } finally {
    server.kill();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}
