// Bundles the pages of the examples: `<example>/page.js` or `page.jsx` becomes `<example>/public/page.js`.
//
//   node build.mjs             all of them
//   node build.mjs dashboard   one of them
//
// `@fantail/client` is the build in `clients/js/dist`. That package has a React and a Vue of its own, for its tests;
// a page must not have two, so both names mean the packages of this folder.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, stop } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const client = join(here, '../clients/js');

/**
 * The newest time of a file below a folder.
 *
 * @param {string} folder
 * @returns {number}
 */
function newest(folder) {
  if (!existsSync(folder)) return 0;
  const times = readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
  });
  return Math.max(0, ...times);
}

/** Builds the client if its sources are newer than its build. */
function buildClient() {
  if (newest(join(client, 'dist')) > newest(join(client, 'src'))) return;
  if (!existsSync(join(client, 'node_modules'))) {
    throw new Error('clients/js is not built; run:\n\n    npm run setup --prefix examples\n');
  }
  execFileSync('npm', ['run', 'build'], { cwd: client, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** What a page imports, and where it is. */
function aliases() {
  const { name, exports } = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8'));
  const parts = Object.entries(exports).filter(([, target]) => target.default);
  return {
    ...Object.fromEntries(parts.map(([part, target]) => [join(name, part), join(client, target.default)])),
    react: join(here, 'node_modules/react'),
    // With the compiler of templates: a page has its template in its HTML.
    vue: join(here, 'node_modules/vue/dist/vue.esm-bundler.js'),
  };
}

/**
 * Writes a file so that servers that run already send the old one or the new one, and nothing between.
 *
 * @param {string} path
 * @param {Uint8Array} contents
 */
function replace(path, contents) {
  if (existsSync(path) && readFileSync(path).equals(contents)) return;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, contents);
  renameSync(draft, path);
}

/** The examples that have a page to bundle. */
const pages = () =>
  readdirSync(here).flatMap((name) => {
    const entry = ['page.js', 'page.jsx'].map((file) => join(here, name, file)).find(existsSync);
    return entry ? [{ name, entry }] : [];
  });

/**
 * Bundles the page of one example, or of all.
 *
 * @param {string} [only]
 */
export async function buildPages(only) {
  const wanted = pages().filter(({ name }) => only === undefined || name === only);
  if (only !== undefined && !wanted.length) throw new Error(`no example has this name: ${only}`);
  buildClient();
  for (const { name, entry } of wanted) {
    const outfile = join(here, name, 'public/page.js');
    const { outputFiles } = await build({
      entryPoints: [entry],
      outfile,
      write: false,
      bundle: true,
      format: 'esm',
      target: 'es2022',
      jsx: 'automatic',
      alias: aliases(),
      define: {
        'process.env.NODE_ENV': '"production"',
        __VUE_OPTIONS_API__: 'true',
        __VUE_PROD_DEVTOOLS__: 'false',
        __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
      },
      logLevel: 'warning',
    });
    for (const { contents } of outputFiles) replace(outfile, contents);
  }
  // Its process would live as long as ours.
  await stop();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await buildPages(process.argv[2]).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
