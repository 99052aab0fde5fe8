/**
 * Bundles a page of `views/` for the browser and for the server, with the package as it is built.
 */
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { temporaryDirectory } from './directory.ts';

export interface Bundled {
  /** The script of the page. */
  readonly script: string;
  /** What the server draws. */
  readonly html: string;
}

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** The sources, as pages import them for their types, are what `npm run build` made of them. */
const asBuilt: Plugin = {
  name: 'as built',
  setup({ onResolve }) {
    onResolve({ filter: /\/src\/.*\.ts$/ }, ({ path: source }) => ({
      path: path(`../../dist/${(source.split('/src/')[1] as string).replace(/ts$/, 'js')}`),
    }));
  },
};

const OPTIONS: BuildOptions = {
  bundle: true,
  plugins: [asBuilt],
  jsx: 'automatic',
  // Warnings of the frameworks are what is looked for.
  define: {
    'process.env.NODE_ENV': '"development"',
    __VUE_OPTIONS_API__: 'true',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'true',
  },
  logLevel: 'warning',
};

async function text(options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({ ...OPTIONS, ...options, write: false });
  return outputFiles?.[0]?.text as string;
}

/** Draws a page as a server does. */
async function drawn(code: string): Promise<string> {
  const directory = await temporaryDirectory();
  try {
    const file = join(directory.path, 'server.cjs');
    await writeFile(file, code);
    const { render } = createRequire(import.meta.url)(file) as { render(): string | Promise<string> };
    return await render();
  } finally {
    await directory.close();
  }
}

/** @param framework Name of the page: `react.tsx` and `react.server.tsx`, or the same of Vue. */
export async function bundle(framework: 'react' | 'vue'): Promise<Bundled> {
  const extension = framework === 'react' ? 'tsx' : 'ts';
  const script = await text({
    stdin: { contents: `import { hydrate } from './${framework}.${extension}'; hydrate();`, resolveDir: path('../views') },
    format: 'esm',
    // With the compiler of templates.
    alias: { vue: path('../../node_modules/vue/dist/vue.esm-bundler.js') },
  });
  const server = await text({ entryPoints: [path(`../views/${framework}.server.${extension}`)], format: 'cjs', platform: 'node' });
  return { script, html: await drawn(server) };
}
