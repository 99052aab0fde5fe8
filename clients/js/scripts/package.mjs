// Packs the package and uses it as a stranger would: publint and attw on the archive, and an empty
// project that installs it, compiles against it under the strictest settings, bundles it with esbuild
// and vite, and imports it. Needs `dist/`; makes no request.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build as esbuild } from 'esbuild';
import { build as vite } from 'vite';

const bin = (name) => resolve('node_modules/.bin', name);

function run(program, args, cwd = process.cwd()) {
  console.log(`$ ${program.split('/').at(-1)} ${args.join(' ')}`);
  return execFileSync(program, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
}

const USER = `
import { createClient, json, type Client } from '@fantail/client';
export const client: Client<{ created: { order: number }; message: string }> = createClient({
  url: 'https://hub.example/',
  events: { created: json<{ order: number }>(), message: (text) => text },
});
export function start() {
  using subscription = client.subscribe('orders', { created: ({ order }) => console.log(order.toFixed()) });
  return subscription.status.state;
}
`;

/** The examples of the README, each a module: what is shown there compiles. */
const EXAMPLES = [...readFileSync('README.md', 'utf8').matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code]) => code);

const SETTINGS = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    target: 'ES2022',
    lib: ['ES2022', 'DOM', 'DOM.Iterable'],
    types: [],
    noEmit: true,
  },
  files: ['user.ts', ...EXAMPLES.map((_, index) => `example-${index}.ts`)],
};

const directory = mkdtempSync(join(tmpdir(), 'fantail-client-'));
try {
  console.log(run(bin('publint'), ['--strict']).trim());
  const [{ filename, files }] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory]));
  const archive = join(directory, filename);
  run(bin('attw'), ['--profile', 'esm-only', archive]);
  for (const path of ['dist/index.js', 'dist/index.d.ts', 'dist/fantail.min.js', 'src/index.ts', 'README.md', 'LICENSE-MIT']) {
    if (!files.some((file) => file.path === path)) throw new Error(`${path} is not in the package`);
  }

  const write = (name, text) => writeFileSync(join(directory, name), text);
  write('package.json', '{"type": "module", "private": true}');
  write('user.ts', USER);
  EXAMPLES.forEach((code, index) => write(`example-${index}.ts`, code));
  write('tsconfig.json', JSON.stringify(SETTINGS));
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', archive], directory);
  run(bin('tsc'), ['-p', 'tsconfig.json'], directory);
  run(process.execPath, ['--input-type=module', '-e', "import('@fantail/client').then(({ createClient }) => createClient({ url: 'http://127.0.0.1:1/' }))"], directory);
  const entry = join(directory, 'user.ts');
  await esbuild({ entryPoints: [entry], bundle: true, format: 'esm', outdir: join(directory, 'esbuild'), splitting: true, logLevel: 'warning' });
  await vite({ root: directory, logLevel: 'warn', configFile: false, build: { lib: { entry, formats: ['es'], fileName: 'user' }, outDir: 'vite' } });
  const script = readFileSync('dist/fantail.min.js', 'utf8');
  const names = new Function(`${script}; return Object.keys(fantail)`)();
  if (!names.includes('createClient') || !names.includes('debug')) throw new Error(`fantail.min.js has ${names}`);
  console.log('installed, compiled, bundled with esbuild and vite, imported');
} finally {
  rmSync(directory, { recursive: true, force: true });
}
