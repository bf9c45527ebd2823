#!/usr/bin/env node
import { run } from './program.js';

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? 0 : 1),
);

// Not by waiting for what is still open: a connection to a lost server goes on trying.
process.exit(await run(process.argv));
