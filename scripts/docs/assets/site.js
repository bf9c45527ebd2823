// Search: all words are looked for in titles and texts of the pages, which are fetched with the first letter.
const { root } = document.currentScript.dataset;
const input = document.querySelector('input[type=search]');
const list = document.querySelector('form ul');
const shownMax = 20;
let pages;

input.form.addEventListener('submit', (event) => {
  event.preventDefault();
  list.querySelector('a')?.click();
});

input.addEventListener('input', async () => {
  pages ??= fetch(`${root}search.json`).then((answer) => answer.json());
  const known = await pages;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length === 0 ? [] : known.map((page) => rated(page, words));
  const best = found.filter(({ rate }) => rate > 0).sort((a, b) => b.rate - a.rate);
  list.hidden = best.length === 0;
  list.replaceChildren(...best.slice(0, shownMax).map(({ page }) => item(page)));
});

function rated(page, words) {
  const title = page.title.toLowerCase();
  const text = page.words.toLowerCase();
  const rates = words.map((word) => {
    if (title.includes(word)) return 100;
    return text.split(word).length - 1;
  });
  return { page, rate: rates.includes(0) ? 0 : rates.reduce((sum, rate) => sum + rate, 0) };
}

function item({ href, title }) {
  const link = document.createElement('a');
  link.href = root + href;
  link.textContent = title;
  const line = document.createElement('li');
  line.append(link);
  return line;
}
