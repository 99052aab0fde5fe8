import { defineConfig } from 'vitest/config';

// Two files at a time: each has a browser, a node and a server, which mostly wait for each other.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/build.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    minWorkers: 1,
  },
});
