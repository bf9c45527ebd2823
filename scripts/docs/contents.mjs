/** The table of contents beside every page: by task first, then by reference. */
const groups = [
  ['Begin', ['README.md', 'docs/tour.md', 'docs/guarantees.md', 'docs/comparison.md']],
  ['Guide', /^docs\/guide\//],
  ['Endpoints', /^docs\/endpoints\//],
  ['Run it', ['docs/production.md', 'docs/migrating.md']],
  ['Reference', /^docs\/reference\/(?!api\/)/],
  ['From the sources', /^docs\/reference\/api\//],
  ['The rules', /^docs\/spec\//],
  ['Decisions', /^docs\/decisions\//],
  ['The house', ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md']],
];

/** @returns each group with its pages: those it names, or those at its paths, in the order of an overview that links to them */
export function contents(pages) {
  return groups
    .map(([name, wanted]) => ({ name, pages: pagesOf(wanted, pages) }))
    .filter((group) => group.pages.length > 0);
}

function pagesOf(wanted, pages) {
  if (Array.isArray(wanted)) return wanted.map((path) => pages.get(path)).filter(Boolean);
  const found = [...pages.values()].filter(({ path }) => wanted.test(path) && path.endsWith('.md'));
  const overview = found.find(({ path }) => path.endsWith('/README.md'));
  if (overview === undefined) return found;
  const at = ({ path }) => {
    const place = overview.text.indexOf(`(${path.slice(path.lastIndexOf('/') + 1)}`);
    if (path === overview.path) return -1;
    return place < 0 ? Number.MAX_SAFE_INTEGER : place;
  };
  return found.sort((a, b) => at(a) - at(b));
}
