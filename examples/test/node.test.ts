/** Which program the demo and the tests start as the node. */
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { nodeProgram } from '../demo/node.mjs';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fantail-builds-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

it('the newest build is the node, whichever profile it has, and FANTAIL_BIN wins over it', () => {
  vi.stubEnv('FANTAIL_BIN', undefined);
  const builds = ['release', 'debug', 'missing'].map((name) => join(folder, name));
  const [release, debug] = builds as [string, string];
  for (const [path, time] of [[release, 1_000], [debug, 2_000]] as const) {
    writeFileSync(path, '');
    utimesSync(path, time, time);
  }
  expect(nodeProgram(builds)).toBe(debug);
  utimesSync(release, 3_000, 3_000);
  expect(nodeProgram(builds)).toBe(release);
  vi.stubEnv('FANTAIL_BIN', debug);
  expect(nodeProgram(builds)).toBe(debug);
});

it('without a build, it says what builds it', () => {
  vi.stubEnv('FANTAIL_BIN', undefined);
  expect(() => nodeProgram([join(folder, 'missing')])).toThrow('cargo build --release');
});
