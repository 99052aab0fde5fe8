import { defineConfig } from 'vitest/config';

// Two files at a time: they mostly wait, and more browsers keep each other waiting. The limit of time is
// for busy machines.
export default defineConfig({
  test: { include: ['browser/**/*.test.ts'], environment: 'node', testTimeout: 180_000, hookTimeout: 60_000, maxWorkers: 2, minWorkers: 1 },
});
