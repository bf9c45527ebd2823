/**
 * The documentation as a site: the pages people wrote, those made from the sources, and what they link to. Pages stand in the site where they stand in the
 * repository, so that a link that works in one works in the other. A link to nothing, or to no heading of its page, is told and fails the build.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import MarkdownIt from 'markdown-it';
import { apiPages } from './api.mjs';
import { commandPages } from './commands.mjs';
import { inRoot, kindOf, listed, siteFolder, writtenPages } from './files.mjs';
import { contents } from './contents.mjs';
import { layOut } from './lay-out.mjs';
import { servedPages } from './served.mjs';

/**
 * Builds the site anew. Pages made from the sources need the build of the packages.
 *
 * @returns the links to nothing, each as `PAGE: LINK`, and how many pages there are
 */
export async function buildSite(folder = siteFolder) {
  const made = [...apiPages(), ...(await servedPages()), ...(await commandPages())];
  return writeSite([...writtenPages(), ...made], folder);
}

/** As `buildSite`, of these pages alone. */
export function writeSite(pages, folder) {
  const site = new Site(pages, folder);
  rmSync(folder, { recursive: true, force: true });
  site.write();
  return { dead: site.dead, pages: site.pages.size };
}

class Site {
  /** Pages by their path in the repository, those that links asked for at the end. */
  pages = new Map();
  dead = [];
  #files = new Set();
  #folder;

  constructor(pages, folder) {
    this.#folder = folder;
    for (const page of pages) this.#add(page.path, page.text);
  }

  #add(path, text) {
    const { html, title, headings } = render(text);
    this.pages.set(path, { path, html, title, headings, text });
  }

  write() {
    // A page that is linked to may be added on the way.
    for (const page of this.pages.values()) {
      page.html = page.html.replace(
        /(href|src)="([^"]*)"/g,
        (_, name, link) => `${name}="${this.#linkFrom(page.path, link)}"`,
      );
    }
    const menu = contents(this.pages);
    for (const page of this.pages.values()) {
      const path = placeOf(page.path);
      this.#put(
        path,
        layOut({ ...page, site: path, menu, hrefTo: (to) => hrefBetween(path, placeOf(to)) }),
      );
    }
    this.#put('search.json', JSON.stringify(searchIndex(this.pages)));
    for (const file of ['style.css', 'site.js'])
      this.#put(file, readFileSync(new URL(`assets/${file}`, import.meta.url)));
    for (const file of this.#files) {
      this.#put(file, readFileSync(inRoot(file)));
    }
  }

  #put(path, text) {
    const file = join(this.#folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  #linkFrom(path, link) {
    const [target, fragment] = link.split('#');
    if (/^[a-z]+:/.test(link)) return link;
    const to = target === '' ? path : posix.join(posix.dirname(path), decodeURI(target));
    const place = this.#find(to.replace(/\/$/, ''));
    const { headings } = this.pages.get(place?.path) ?? {};
    if (place === undefined || (fragment !== undefined && headings?.has(fragment) === false)) {
      this.dead.push(`${path}: ${link}`);
      return link;
    }
    const hash = fragment === undefined ? '' : `#${fragment}`;
    return hrefBetween(placeOf(path), place.site) + hash;
  }

  /** @returns where in the site what a link names is; undefined when nothing is there */
  #find(to) {
    if (this.pages.has(to)) return { path: to, site: placeOf(to) };
    const kind = to.startsWith('..') ? null : kindOf(to);
    if (kind === null) return undefined;
    if (/\.(svg|png|jpg|json)$/.test(to)) {
      this.#files.add(to);
      return { path: to, site: to };
    }
    if (kind === 'file') this.#add(to, sourcePage(to));
    else if (this.pages.has(`${to}/README.md`)) return this.#find(`${to}/README.md`);
    else this.#add(to, folderPage(to, this.pages));
    return { path: to, site: placeOf(to) };
  }
}

function sourcePage(path) {
  const language = /\.(\w+)$/.exec(path)?.[1] ?? '';
  return `# ${posix.basename(path)}\n\n\`${path}\`\n\n~~~~${language}\n${readFileSync(inRoot(path), 'utf8')}~~~~\n`;
}

function folderPage(path, pages) {
  const lines = listed(path).map((name) => {
    const title = pages.get(name)?.title ?? posix.relative(path, name);
    return `- [${title}](${posix.relative(posix.dirname(path), name)})`;
  });
  return `# ${path}\n\n${lines.join('\n')}\n`;
}

/** Where a page stands in the site. */
function placeOf(path) {
  if (path === 'README.md') return 'index.html';
  return `${path
    .replace(/^docs\//, '')
    .replace(/\.md$/, '')
    .replace(/(^|\/)README$/, '$1index')}.html`;
}

function hrefBetween(from, to) {
  return posix.relative(posix.dirname(from), to);
}

/** Markup in a page is text: keys and types with angle brackets stand in many. */
const markdown = new MarkdownIt({ html: false });

function render(text) {
  const headings = new Set();
  const env = {};
  const tokens = markdown.parse(text.replace(/^<!--[\s\S]*?-->$/gm, ''), env);
  let title = '';
  tokens.forEach((token, i) => {
    if (token.type !== 'heading_open') return;
    const words = tokens[i + 1].children.map(({ content }) => content).join('');
    if (title === '') title = words;
    const slug = slugOf(words, headings);
    headings.add(slug);
    token.attrSet('id', slug);
  });
  return { html: markdown.renderer.render(tokens, markdown.options, env), title, headings };
}

/** As code hosts make them. */
function slugOf(words, taken) {
  const slug = words
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
  for (let n = 0; ; n++) {
    const candidate = n === 0 ? slug : `${slug}-${n}`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** @returns of each page its place, its title, its headings and its words, for a search in the page */
function searchIndex(pages) {
  return [...pages.values()].map(({ path, title, text }) => ({
    href: placeOf(path),
    title,
    words: text
      .replace(/[`*_|#>[\]()]+/g, ' ')
      .replace(/\s+/g, ' ')
      .slice(0, 20_000),
  }));
}
