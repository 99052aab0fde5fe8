// Builds `dist/`: modules for bundlers and browsers, their declarations, and one script for pages
// without modules.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';

/** Safari 16.4, Chromium 100 and Firefox 100 have all of it. */
const target = 'es2022';

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: {
    index: 'src/index.ts',
    'react/index': 'src/react/index.ts',
    'vue/index': 'src/vue/index.ts',
    'testing/index': 'src/testing/index.ts',
    worker: 'src/share/worker.ts',
  },
  outdir: 'dist',
  external: ['react', 'vue'],
  bundle: true,
  splitting: true,
  format: 'esm',
  target,
  chunkNames: 'chunks/[name]-[hash]',
  sourcemap: true,
  logLevel: 'warning',
});
await build({
  entryPoints: ['src/index.ts'],
  outfile: 'dist/fantail.min.js',
  bundle: true,
  minify: true,
  format: 'iife',
  globalName: 'fantail',
  target,
  logLevel: 'warning',
});
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
