/** A page of the site: its contents at the left, its own headings at the top where there are many. It asks nobody but its own folder for anything. */
export function layOut({ path, html, title, site, menu, hrefTo }) {
  const up = '../'.repeat(site.split('/').length - 1);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title === 'Waymark' ? title : `${title} · Waymark`)}</title>
<link rel="stylesheet" href="${up}style.css">
<script src="${up}site.js" data-root="${up}" defer></script>
</head>
<body>
<a class="skip" href="#page">Skip to the page</a>
<header>
<a class="name" href="${up}index.html">Waymark</a>
<form role="search"><label>Search <input type="search" autocomplete="off"></label><ul hidden></ul></form>
</header>
<nav aria-label="Contents">
${menu.map((group) => groupOf(group, path, hrefTo)).join('\n')}
</nav>
<main id="page">
${html}
</main>
</body>
</html>
`;
}

function groupOf({ name, pages }, path, hrefTo) {
  const here = pages.some((page) => page.path === path);
  const links = pages.map((page) => {
    const current = page.path === path ? ' aria-current="page"' : '';
    return `<li><a href="${hrefTo(page.path)}"${current}>${escapeHtml(page.title)}</a></li>`;
  });
  return `<details${here ? ' open' : ''}><summary>${name}</summary><ul>${links.join('')}</ul></details>`;
}

function escapeHtml(text) {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
