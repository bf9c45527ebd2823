/** `npm run docs` builds the site into docs/site, and fails when a link leads nowhere. */
import { buildSite } from './site.mjs';

const { dead, pages } = await buildSite();
for (const link of dead) console.error(`leads nowhere: ${link}`);
console.log(`${pages} pages in docs/site, ${dead.length} links that lead nowhere`);
process.exitCode = dead.length === 0 ? 0 : 1;
