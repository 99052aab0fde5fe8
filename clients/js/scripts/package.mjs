// Packs the package and uses it as a stranger would: publint and attw on the archive, and an empty
// project that installs it, compiles against it under the strictest settings, bundles it with esbuild
// and vite, imports it, and runs the README's test. Needs `dist/`; makes no request.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { build as esbuild } from 'esbuild';
import { build as vite } from 'vite';
import { BUDGETS } from './budgets.mjs';
import { examples } from './examples.mjs';

const bin = (name) => resolve('node_modules/.bin', name);

function run(program, args, cwd = process.cwd()) {
  console.log(`$ ${program.split('/').at(-1)} ${args.join(' ')}`);
  return execFileSync(program, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
}

/** Uses the client alone: React and Vue are not installed. */
const USER = `
import { createClient, json, type Client } from '@fantail/client';
import { createFakeNode, type FakeNode } from '@fantail/client/testing';
export const client: Client<{ created: { order: number }; message: string }> = createClient({
  url: 'https://hub.example/',
  events: { created: json<{ order: number }>(), message: (text) => text },
});
export function start() {
  using subscription = client.subscribe('orders', { created: ({ order }) => console.log(order.toFixed()) });
  return subscription.status.state;
}
export const fake = (): FakeNode => createFakeNode();
`;

/** A page with the client alone. */
const CORE = "import { createClient } from '@fantail/client'; createClient({ url: '/hub/' }).subscribe('news', {});";

/** Registers a client, and asks for the types that this gives the hooks and composables. */
const VIEWS = `
import { createClient, json, type Client } from '@fantail/client';
import * as react from '@fantail/client/react';
import * as vue from '@fantail/client/vue';
const client = createClient({ url: 'https://hub.example/', events: { price: json<number>(), name: String } });
declare module '@fantail/client/react' { interface Register { client: typeof client } }
declare module '@fantail/client/vue' { interface Register { client: typeof client } }
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(..._: Same<A, B> extends true ? [] : [never]): void {}
export function View() {
  react.useEvents('a', { price: (data) => same<typeof data, number>(), message: (data) => same<typeof data, string>() });
  vue.useEvents(() => ['a'], { price: (data, { name }) => { same<typeof data, number>(); same<typeof name, 'price'>(); } });
  const reactPrice = react.useLatest('a', { event: 'price', initial: null });
  const vuePrice = vue.useLatest('a', { event: 'price' });
  same<typeof reactPrice, number | null>();
  same<typeof vuePrice.value, number | undefined>();
  const live = react.useLive({ topics: 'a', load: async () => 1, apply: (sum, event) => (event.name === 'price' ? sum + event.data : sum) });
  const refs = vue.useLive(() => ({ topics: 'a', load: async () => 1, apply: (sum, event) => (event.name === 'price' ? sum + event.data : sum) }));
  same<typeof live.state, number | undefined>();
  same<typeof refs.state.value, number | undefined>();
  const own = react.useClient();
  same<typeof own, typeof client>();
  const other = vue.useClient<{ x: 1 }>();
  same<typeof other, Client<{ x: 1 }>>();
  // @ts-expect-error: there is no such event
  react.useEvents('a', { prise() {} });
  // @ts-expect-error: there is no such event
  vue.useLatest('a', { event: 'prise' });
  return react.FantailProvider({ client, children: null });
}
`;

const EXAMPLES = examples();

/** What the examples need besides the package. */
const INSTALLED = ['react', 'react-dom', '@types/react', '@types/react-dom', 'vue', 'vitest'];

const settings = (files, skipLibCheck) => ({
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck,
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    target: 'ES2022',
    lib: ['ES2022', 'DOM', 'DOM.Iterable'],
    jsx: 'react-jsx',
    types: [],
    noEmit: true,
  },
  files,
});

/**
 * What a page with the client alone loads at once: within its budget, with all of the client, and without
 * the frameworks and the code for them, for tests and for sharing.
 */
function checkCore(bundler, max, texts) {
  const text = texts.join('');
  for (const word of ['createContext', 'shallowRef', 'BroadcastChannel', 'SharedWorker', 'steal:', 'fake00']) {
    if (text.includes(word)) throw new Error(`the client alone has ${word} in a bundle of ${bundler}`);
  }
  if (!text.includes('Last-Event-ID')) throw new Error(`a bundle of ${bundler} lacks the client`);
  const size = brotliCompressSync(text).length;
  console.log(`the client alone, bundled by ${bundler}: brotli ${size} of ${max}`);
  if (size > max) throw new Error('that is above its budget');
}

/** The core as esbuild bundles it. */
async function esbuildCore(options) {
  const { outputFiles, metafile } = await esbuild({ ...options, minify: true, write: false, metafile: true });
  const [name, entry] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint);
  const loaded = [name, ...entry.imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => path)];
  return outputFiles.filter(({ path }) => loaded.some((file) => path.endsWith(file))).map((file) => file.text);
}

/** The core as vite bundles it for a page. */
async function viteCore(root, input) {
  const { output } = await vite({
    root,
    logLevel: 'warn',
    configFile: false,
    build: { target: 'es2022', modulePreload: { polyfill: false }, write: false, rollupOptions: { input } },
  });
  const entry = output.find(({ isEntry }) => isEntry);
  return output.filter(({ fileName }) => fileName === entry.fileName || entry.imports.includes(fileName)).map(({ code }) => code);
}

/** Vite's plugin for React is silent about "use client", too. */
function onwarn(warning, warn) {
  if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
}

const directory = mkdtempSync(join(tmpdir(), 'fantail-client-'));
const write = (name, text) => writeFileSync(join(directory, name), text);

function compile(name, files, skipLibCheck) {
  write(name, JSON.stringify(settings(files, skipLibCheck)));
  run(bin('tsc'), ['-p', name], directory);
}

try {
  console.log(run(bin('publint'), ['--strict']).trim());
  const [{ filename, files }] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory]));
  const archive = join(directory, filename);
  run(bin('attw'), ['--profile', 'esm-only', archive]);
  const folders = ['', 'react/', 'vue/', 'testing/'];
  for (const path of [
    ...folders.flatMap((folder) => [`dist/${folder}index.js`, `dist/${folder}index.d.ts`, `src/${folder}index.ts`]),
    'dist/fantail.min.js',
    'README.md',
    'LICENSE-MIT',
  ]) {
    if (!files.some((file) => file.path === path)) throw new Error(`${path} is not in the package`);
  }
  if (!readFileSync('dist/react/index.js', 'utf8').startsWith('"use client"')) {
    throw new Error('dist/react/index.js does not begin with "use client": components of a server could not import it');
  }

  write('package.json', '{"type": "module", "private": true}');
  write('user.ts', USER);
  write('core.ts', CORE);
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', archive], directory);
  compile('tsconfig.json', ['user.ts', 'core.ts'], false);
  run(process.execPath, ['--input-type=module', '-e', "import('@fantail/client').then(({ createClient }) => createClient({ url: 'http://127.0.0.1:1/' }))"], directory);
  const options = { absWorkingDir: directory, bundle: true, format: 'esm', splitting: true, outdir: join(directory, 'esbuild'), logLevel: 'warning' };
  const core = join(directory, 'core.ts');
  checkCore('esbuild', BUDGETS.core, await esbuildCore({ ...options, entryPoints: [core], target: 'es2022' }));
  checkCore('vite', BUDGETS.coreByVite, await viteCore(directory, core));
  const entries = ['user.ts'];

  for (const name of INSTALLED) {
    const link = join(directory, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(resolve('node_modules', name), link);
  }
  write('views.ts', VIEWS);
  EXAMPLES.forEach(({ name, code }) => write(name, code));
  compile('tsconfig.views.json', ['views.ts'], false);
  // The declarations of vitest and its parts are not ours to check.
  compile('tsconfig.examples.json', EXAMPLES.map(({ name }) => name), true);
  entries.push(...EXAMPLES.map(({ name }) => name).filter((name) => name === 'main.ts' || name.endsWith('.tsx')));
  const paths = entries.map((name) => join(directory, name));
  await esbuild({ ...options, entryPoints: paths });
  await vite({
    root: directory,
    logLevel: 'warn',
    configFile: false,
    define: { 'process.env.NODE_ENV': '"production"' },
    build: { lib: { entry: paths, formats: ['es'] }, outDir: 'vite', rollupOptions: { onwarn } },
  });
  run(bin('vitest'), ['run', '--root', directory, 'orders.test.ts'], directory);
  const script = readFileSync('dist/fantail.min.js', 'utf8');
  const names = new Function(`${script}; return Object.keys(fantail)`)();
  if (!names.includes('createClient') || !names.includes('debug')) throw new Error(`fantail.min.js has ${names}`);
  console.log('installed, compiled, bundled with esbuild and vite, imported, and the test of the README passed');
} finally {
  rmSync(directory, { recursive: true, force: true });
}
