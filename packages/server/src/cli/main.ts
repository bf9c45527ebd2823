#!/usr/bin/env node
import { run } from './program.js';

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? 0 : 1),
);

void run(process.argv).then(async (code) => {
  // A pipe takes what is written to it piece by piece.
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<unknown>((resolve) => void stream.write('', resolve));
  }
  // Not by waiting for what is still open: a connection to a lost server goes on trying.
  process.exit(code);
});
