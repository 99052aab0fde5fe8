// Holds the sizes that the README promises: what a bundler makes of an import, minified, as brotli sends it.
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** Bytes (brotli 11) of what is loaded at once. What is loaded on demand does not count. */
const BUDGETS = [
  { name: 'core', code: "export { createClient } from './dist/index.js';", max: 9_728 },
];

let failed = false;
for (const { name, code, max } of BUDGETS) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: process.cwd(), sourcefile: `${name}.js` },
    outdir: 'out',
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
  }).then(({ outputFiles, metafile }) => ({
    // The entry, and the chunks that it imports in the ordinary way.
    outputFiles: outputFiles.filter(({ path }) => {
      const entry = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint);
      const loaded = [entry[0], ...entry[1].imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => path)];
      return loaded.some((file) => path.endsWith(file));
    }),
  }));
  const bytes = Buffer.concat(outputFiles.map(({ contents }) => contents));
  const brotli = brotliCompressSync(bytes).length;
  console.log(`${name}: ${bytes.length} bytes, gzip ${gzipSync(bytes, { level: 9 }).length}, brotli ${brotli} of ${max}`);
  if (brotli > max) {
    console.error(`${name} is ${brotli - max} bytes above its budget`);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;
