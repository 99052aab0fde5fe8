import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const oldest = (path: string): string => fileURLToPath(new URL(`test/oldest/node_modules/${path}`, import.meta.url));

const views = { include: ['test/views/*.test.{ts,tsx}'], environment: 'jsdom' as const };

export default defineConfig({
  esbuild: { jsx: 'automatic' },
  test: {
    testTimeout: 15_000,
    restoreMocks: true,
    silent: 'passed-only',
    projects: [
      { extends: true, test: { name: 'client', include: ['test/*.test.ts', 'test/{share,testing}/*.test.ts'], environment: 'node' } },
      { extends: true, test: { name: 'views', ...views } },
      {
        extends: true,
        test: { name: 'views, oldest frameworks', ...views },
        resolve: {
          alias: [
            { find: /^react(-dom)?(\/.*)?$/, replacement: oldest('react$1$2') },
            { find: /^vue(\/server-renderer)?$/, replacement: oldest('vue$1/index.mjs') },
          ],
        },
      },
    ],
  },
});
