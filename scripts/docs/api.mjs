/**
 * The reference of the library and the server's module, from the declarations that are published: what an entry exports, each with the text its author wrote
 * about it and its shape. A generator of TypeScript's own syntax tree would need a TypeScript of its own beside the one that builds.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';
import { inRoot } from './files.mjs';

const entries = ['waymark', 'server'].flatMap((folder) => {
  const { name, exports } = JSON.parse(
    readFileSync(inRoot(`packages/${folder}/package.json`), 'utf8'),
  );
  return Object.entries(exports)
    .filter(([subpath, to]) => to.types !== undefined && subpath !== './browser')
    .map(([subpath, to]) => ({
      name: name + subpath.slice(1),
      file: inRoot(`packages/${folder}/${to.types}`),
    }));
});

const kinds = {
  TSDeclareFunction: 'Functions',
  ClassDeclaration: 'Classes',
  TSInterfaceDeclaration: 'Interfaces',
  TSTypeAliasDeclaration: 'Types',
  VariableDeclaration: 'Constants',
};

/** @returns a page for each entry of the packages */
export function apiPages() {
  return entries.map(({ name, file }) => ({
    path: `docs/reference/api/${name.replace('@', '').replaceAll('/', '-')}.md`,
    text: pageOf(name, exportsOf(file)),
  }));
}

/** @returns every name that the entries export, by the entry */
export function exportedNames() {
  return entries.map(({ name, file }) => ({ name, names: exportsOf(file).map((one) => one.name) }));
}

function pageOf(name, exported) {
  const parts = [`# \`${name}\`\n\nMade from the declarations of \`import … from '${name}'\`.`];
  for (const kind of Object.values(kinds)) {
    const found = exported.filter((one) => one.kind === kind);
    if (found.length === 0) continue;
    found.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
    parts.push(`## ${kind}`, ...found.map(sectionOf));
  }
  return `${parts.join('\n\n')}\n`;
}

function sectionOf({ name, about, shape }) {
  return [`### ${name}`, ...(about === '' ? [] : [about]), `\`\`\`ts\n${shape}\n\`\`\``].join(
    '\n\n',
  );
}

const parsed = new Map();

function modelOf(file) {
  let model = parsed.get(file);
  if (model !== undefined) return model;
  const text = readFileSync(file, 'utf8');
  const { program, comments, errors } = parseSync(file, text, { lang: 'dts' });
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`);
  model = { text, body: program.body, comments };
  parsed.set(file, model);
  return model;
}

/** @returns name, kind, about and shape of each */
function exportsOf(file, seen = new Set()) {
  if (seen.has(file)) return [];
  seen.add(file);
  const model = modelOf(file);
  return model.body.flatMap((node) => {
    if (node.type === 'ExportAllDeclaration') {
      const found = exportsOf(besides(file, node.source.value), new Set(seen));
      const group = node.exported?.name;
      if (group === undefined) return found;
      return found.map((one) => ({ ...one, name: `${group}.${one.name}` }));
    }
    if (node.type !== 'ExportNamedDeclaration') return [];
    if (node.declaration !== null) return declared(model, node);
    if (node.source !== null && !node.source.value.startsWith('.')) return passedOn(node);
    return node.specifiers.map(({ local, exported }) => {
      const from = node.source === null ? file : besides(file, node.source.value);
      const found = find(from, local.name);
      if (found === undefined) throw new Error(`${file} exports ${local.name}, which is not found`);
      return { ...found, name: exported.name };
    });
  });
}

/** What another package declares is told there. */
function passedOn({ source, specifiers }) {
  return specifiers.map(({ local, exported }) => ({
    name: exported.name,
    kind: 'Functions',
    about: `As \`${source.value}\` has it.`,
    shape: `export { ${local.name} } from '${source.value}'`,
  }));
}

/** What a file calls `name`: declared in it, imported into it, or passed on by it. */
function find(file, name) {
  const model = modelOf(file);
  const own = model.body.flatMap((node) => declared(model, node)).find((one) => one.name === name);
  if (own !== undefined) return own;
  for (const { type, source, specifiers = [] } of model.body) {
    if (type === 'ExportAllDeclaration') {
      const found = find(besides(file, source.value), name);
      if (found !== undefined) return found;
    }
    const named = specifiers.find((one) => (one.exported ?? one.local).name === name);
    if (named === undefined || source === null) continue;
    return find(besides(file, source.value), (named.imported ?? named.local).name);
  }
  return undefined;
}

function declared(model, node) {
  const declaration = node.declaration ?? node;
  const kind = kinds[declaration.type];
  if (kind === undefined) return [];
  const names =
    declaration.type === 'VariableDeclaration'
      ? declaration.declarations.map(({ id }) => id.name)
      : [declaration.id.name];
  const before = model.comments.findLast(
    ({ end }) => end <= node.start && model.text.slice(end, node.start).trim() === '',
  );
  const isDocs = before?.type === 'Block' && before.value.startsWith('*');
  const shape = model.text
    .slice(declaration.start, declaration.end)
    .replace(/^declare /, '')
    .replace(/^ *#private;\n/m, '')
    .trim();
  return names.map((name) => ({
    name,
    kind,
    about: isDocs ? aboutOf(before.value) : '',
    shape,
  }));
}

function besides(file, specifier) {
  return join(dirname(file), specifier).replace(/\.js$/, '.d.ts');
}

/** The text of a docstring, its tags as a list. */
function aboutOf(comment) {
  const text = comment
    .slice(1)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim();
  const [before, ...tags] = text.split(/^@(?=\w)/m);
  const list = tags.map((tag) => {
    const [, name, rest] = /^(\w+)\s*([\s\S]*)$/.exec(tag);
    const words = rest.trim().replace(/\s*\n\s*/g, ' ');
    const of = /^(\{\w+\}\s*|[\w.]+ {2,})?([\s\S]*)$/.exec(words);
    const about = of[1] === undefined ? '' : ` \`${of[1].replace(/[{}]/g, '').trim()}\``;
    return `- **${name}**${about} ${of[2]}`;
  });
  return [before.trim(), list.join('\n')].filter((part) => part !== '').join('\n\n');
}
