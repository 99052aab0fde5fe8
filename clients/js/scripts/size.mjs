// Holds the sizes that the README promises: what a bundler makes of an import, minified, as brotli sends it.
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { BUDGETS } from './budgets.mjs';

const CORE = "export { createClient } from './dist/index.js';";

/**
 * What is bundled for each budget. `lazy`: what a dynamic import of a file of this name loads besides.
 */
const BUNDLES = [
  { name: 'core', code: CORE },
  { name: 'sharing', code: CORE, lazy: /\/by-locks-/ },
  { name: 'react', code: "export * from './dist/react/index.js';", addedTo: CORE },
  { name: 'vue', code: "export * from './dist/vue/index.js';", addedTo: CORE },
];

/** A chunk, and all that it imports in the ordinary way. */
function closure(outputs, path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  for (const { kind, path: other } of outputs[path].imports) {
    if (kind === 'import-statement') closure(outputs, other, found);
  }
  return found;
}

/** What a page loads at once, or what the chunk `lazy` adds to that later. */
async function bundle(code, lazy) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: process.cwd(), sourcefile: 'entry.js' },
    outdir: 'out',
    external: ['react', 'vue'],
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
  });
  const { outputs } = metafile;
  const local = Object.fromEntries(
    Object.entries(outputs).map(([path, output]) => [
      path,
      { ...output, imports: output.imports.filter(({ external }) => !external) },
    ]),
  );
  const start = (is) => closure(local, Object.keys(local).find(is));
  const atOnce = start((path) => local[path].entryPoint === 'entry.js');
  const paths = lazy
    ? [...start((path) => lazy.test(path))].filter((path) => !atOnce.has(path))
    : [...atOnce];
  return Buffer.concat(
    outputFiles.filter(({ path }) => paths.some((file) => path.endsWith(file))).map(({ contents }) => contents),
  );
}

const sizes = (bytes) => [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length];

let failed = false;
for (const { name, code, lazy, addedTo } of BUNDLES) {
  const max = BUDGETS[name];
  const base = addedTo ? sizes(await bundle(addedTo)) : [0, 0, 0];
  const whole = sizes(await bundle(`${addedTo ?? ''}${code}`, lazy));
  const [bytes, gzip, brotli] = whole.map((size, index) => size - base[index]);
  const alone = addedTo ? `; alone ${sizes(await bundle(code))[2]}` : '';
  console.log(`${name}: ${bytes} bytes, gzip ${gzip}, brotli ${brotli} of ${max}${alone}`);
  if (brotli > max) {
    console.error(`${name} is ${brotli - max} bytes above its budget`);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;
