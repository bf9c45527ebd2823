/** `npm run docs:dev` builds the site, shows it on a port of this machine, and builds it again when a page changes. */
import { readFile } from 'node:fs/promises';
import { watch } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { inRoot, siteFolder } from './files.mjs';
import { buildSite } from './site.mjs';

const port = Number(process.argv[2] ?? 7430);
const types = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

let building = build();
let again;

async function build() {
  const { dead, pages } = await buildSite();
  for (const link of dead) console.error(`leads nowhere: ${link}`);
  console.log(`${pages} pages: http://127.0.0.1:${port}/`);
}

watch(inRoot('docs'), { recursive: true }, (_, name) => {
  if (name === null || name.startsWith('site') || !name.endsWith('.md')) return;
  clearTimeout(again);
  again = setTimeout(() => {
    building = building.then(build, build);
  }, 100);
});

createServer(async (request, response) => {
  await building.catch(() => undefined);
  const { pathname } = new URL(request.url, 'http://site');
  const file = join(siteFolder, normalize(pathname === '/' ? '/index.html' : pathname));
  try {
    const body = await readFile(file);
    response.setHeader('content-type', types[extname(file)] ?? 'text/plain; charset=utf-8');
    response.end(body);
  } catch {
    response.writeHead(404).end('no such page');
  }
}).listen(port, '127.0.0.1');
