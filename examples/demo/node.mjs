// The node of the examples: `fantail.toml`, on ports of its own.
import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startProgram, untilAnswers } from './processes.mjs';

const CONFIG = fileURLToPath(new URL('../fantail.toml', import.meta.url));

const BUILDS = ['release', 'debug'].map((profile) =>
  fileURLToPath(new URL(`../../target/${profile}/fantail`, import.meta.url)),
);

/**
 * The program: that of `FANTAIL_BIN`, or the newest build of the repository.
 *
 * @param {string[]} builds
 */
export function nodeProgram(builds = BUILDS) {
  const timeOf = (/** @type {string} */ path) => statSync(path).mtimeMs;
  const [newest] = builds.filter((path) => existsSync(path)).sort((one, other) => timeOf(other) - timeOf(one));
  const program = process.env['FANTAIL_BIN'] ?? newest;
  if (program && existsSync(program)) return program;
  throw new Error(`the node is not built${program ? ` (no file ${program})` : ''}; run:\n\n    cargo build --release\n`);
}

/** Three free ports for a node. */
export const nodePorts = async () => ({
  http: await freePort(),
  redis: await freePort(),
  admin: await freePort(),
});

/**
 * Starts a node and waits until it is ready.
 *
 * @param {object} options
 * @param {Awaited<ReturnType<typeof nodePorts>>} options.ports
 * @param {string[]} options.origins Origins of the pages.
 * @param {string[]} [options.settings] More flags, which win over the file.
 * @param {(line: string) => void} [options.print]
 */
export async function startNode({ ports, origins, settings = [], print }) {
  const program = nodeProgram();
  const running = startProgram(
    [
      program,
      ...['--config', CONFIG],
      ...['--listen', `127.0.0.1:${ports.http}`],
      ...['--ingest-listen', `127.0.0.1:${ports.redis}`],
      ...['--admin-listen', `127.0.0.1:${ports.admin}`],
      ...['--cors-origins', origins.join(',')],
      ...settings,
    ],
    { cwd: dirname(CONFIG), ...(print && { print }) },
  );
  try {
    await untilAnswers(`http://127.0.0.1:${ports.http}/readyz`, running, 'the node');
  } catch (error) {
    await running.stop();
    throw error;
  }
  return {
    ...running,
    url: `http://127.0.0.1:${ports.http}/`,
    redis: `redis://127.0.0.1:${ports.redis}`,
    admin: `http://127.0.0.1:${ports.admin}/`,
  };
}
