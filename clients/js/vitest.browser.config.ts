import { defineConfig } from 'vitest/config';

// One file at a time: browsers share two cores with the servers.
export default defineConfig({
  test: { include: ['browser/**/*.test.ts'], environment: 'node', testTimeout: 90_000, hookTimeout: 60_000, fileParallelism: false },
});
