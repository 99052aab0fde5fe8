import { defineConfig } from 'vitest/config';

// One file at a time: two browsers, a node and a server share the machine's cores.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/build.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
