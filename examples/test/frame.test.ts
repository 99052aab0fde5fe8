/** What holds for each example. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXAMPLES, readApps } from '../demo/apps.mjs';

const LINES_MAX = 150;

const text = (path: string): string => readFileSync(join(EXAMPLES, path), 'utf8');

const linesOf = (paths: readonly string[]): number =>
  paths.reduce((sum, path) => sum + text(path).trimEnd().split('\n').length, 0);

describe.each(readApps())('$name', (app) => {
  it.each(['server', 'page'] as const)('has a %s that is short enough to be read', (side) => {
    expect(app[side]).not.toEqual([]);
    expect(linesOf(app[side])).toBeLessThanOrEqual(LINES_MAX);
  });

  it('is reached where the README and the node expect it', () => {
    expect(text(`${app.name}/README.md`)).toContain(`http://127.0.0.1:${app.port}/`);
    expect(text('fantail.toml')).toContain(`"http://127.0.0.1:${app.port}"`);
  });

  it('has a command of its own', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    expect(scripts[app.name]).toContain(app.start.at(-1));
    expect(text(`${app.name}/README.md`)).toContain(`npm run ${app.name} --prefix examples`);
  });
});

it('two examples never share a port', () => {
  const ports = readApps().map(({ port }) => port);
  expect(new Set(ports).size).toBe(ports.length);
});
