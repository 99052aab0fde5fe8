import { defineConfig } from 'vitest/config';

// One file at a time: browsers share two cores with the servers. The limit of time is for busy machines.
export default defineConfig({
  test: { include: ['browser/**/*.test.ts'], environment: 'node', testTimeout: 180_000, hookTimeout: 60_000, fileParallelism: false },
});
