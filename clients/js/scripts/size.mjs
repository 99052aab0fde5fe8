// Holds the sizes that the README promises: what a bundler makes of an import, minified, as brotli sends it.
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const CORE = "export { createClient } from './dist/index.js';";

/** Bytes (brotli 11) of what is loaded at once. What is loaded on demand does not count. */
const BUDGETS = [
  { name: 'core', code: CORE, max: 9_728 },
  // Without a client a view is of no use: what counts is what it adds to one.
  { name: 'react', code: "export * from './dist/react/index.js';", max: 819, addedTo: CORE },
  { name: 'vue', code: "export * from './dist/vue/index.js';", max: 819, addedTo: CORE },
];

/** The entry of a bundle, and the chunks that it imports in the ordinary way. */
async function bundle(code) {
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
  const [name, entry] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint);
  const loaded = [name, ...entry.imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => path)];
  return Buffer.concat(
    outputFiles.filter(({ path }) => loaded.some((file) => path.endsWith(file))).map(({ contents }) => contents),
  );
}

const sizes = (bytes) => [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length];

let failed = false;
for (const { name, code, max, addedTo } of BUDGETS) {
  const base = addedTo ? sizes(await bundle(addedTo)) : [0, 0, 0];
  const whole = sizes(await bundle(`${addedTo ?? ''}${code}`));
  const [bytes, gzip, brotli] = whole.map((size, index) => size - base[index]);
  const alone = addedTo ? `; alone ${sizes(await bundle(code))[2]}` : '';
  console.log(`${name}: ${bytes} bytes, gzip ${gzip}, brotli ${brotli} of ${max}${alone}`);
  if (brotli > max) {
    console.error(`${name} is ${brotli - max} bytes above its budget`);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;
