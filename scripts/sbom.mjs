/**
 * `npm run sbom` writes what each published package stands on as CycloneDX 1.6, into sbom/: what npm installs with it, by package-lock.json,
 * and what is bundled into it, as THIRD-PARTY.txt names it. npm's own `sbom` leaves out what a workspace depends on as soon as the root needs
 * the same for its tests, and knows nothing of bundles.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const inRoot = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const readJson = (path) => JSON.parse(readFileSync(inRoot(path), 'utf8'));
const lock = readJson('package-lock.json').packages;

mkdirSync(inRoot('sbom'), { recursive: true });
for (const folder of ['packages/waymark', 'packages/server']) {
  const { name } = readJson(`${folder}/package.json`);
  const file = `sbom/${name.replace('@', '').replace('/', '-')}.cdx.json`;
  writeFileSync(inRoot(file), `${JSON.stringify(billOf(folder), null, 2)}\n`);
  console.log(file);
}

function billOf(folder) {
  const own = componentOf(folder);
  const components = new Map();
  const dependencies = [];
  const visit = (at, ref, extra = []) => {
    const entry = entryAt(at);
    const optional = Object.keys(entry.optionalDependencies ?? {});
    const dependsOn = new Set(extra);
    for (const name of new Set([...Object.keys(entry.dependencies ?? {}), ...optional])) {
      const found = resolve(at, name);
      // Binaries for other machines than the lock file knows.
      if (found === null && optional.includes(name)) continue;
      if (found === null) throw new Error(`package-lock.json has no ${name} for ${at}`);
      const component = componentOf(found);
      dependsOn.add(component['bom-ref']);
      if (components.has(component['bom-ref'])) continue;
      components.set(component['bom-ref'], component);
      visit(found, component['bom-ref']);
    }
    dependencies.push({ ref, dependsOn: [...dependsOn].sort() });
  };
  const bundled = bundledInto(folder).map((at) => componentOf(at));
  for (const component of bundled) components.set(component['bom-ref'], component);
  const refs = bundled.map((component) => component['bom-ref']);
  visit(folder, own['bom-ref'], refs);
  for (const ref of refs)
    if (!dependencies.some((one) => one.ref === ref)) dependencies.push({ ref });
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: own },
    components: [...components.values()].sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
    dependencies,
  };
}

/** What a workspace of ours depends on stands at the workspace. */
function entryAt(at) {
  const entry = lock[at];
  return entry.link === true ? lock[entry.resolved] : entry;
}

/** As Node looks for it: in the folder's own node_modules, then in those above. */
function resolve(from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    const found = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (lock[found] !== undefined) return found;
    if (at === '') return null;
  }
}

function componentOf(at) {
  const { version, license, integrity } = entryAt(at);
  const name = at.includes('node_modules/')
    ? at.replace(/^.*node_modules\//, '')
    : readJson(`${at}/package.json`).name;
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const hash = /^sha512-(.+)$/.exec(integrity ?? '')?.[1];
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    ...(license === undefined ? {} : { licenses: [licenceOf(license)] }),
    ...(hash === undefined
      ? {}
      : { hashes: [{ alg: 'SHA-512', content: Buffer.from(hash, 'base64').toString('hex') }] }),
  };
}

function licenceOf(text) {
  return /[ ()]/.test(text) ? { expression: text } : { license: { id: text } };
}

/** Where the bundled packages lie. */
function bundledInto(folder) {
  const text = readFileSync(inRoot(`${folder}/dist/bundle/THIRD-PARTY.txt`), 'utf8');
  const names = [...text.matchAll(/(?:^|-{80}\n\n)(\S+) \S+ \(.*\)\n\n/g)].map(([, name]) => name);
  return names.map((name) => resolve(folder, name));
}
