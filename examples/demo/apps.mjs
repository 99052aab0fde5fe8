// The examples, as `apps.json` lists them: what each needs, and how it is started.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startProgram, untilAnswers } from './processes.mjs';

export const EXAMPLES = fileURLToPath(new URL('..', import.meta.url));

/**
 * @typedef {object} App
 * @property {string} name Its folder.
 * @property {string} title
 * @property {string} made With which frameworks.
 * @property {number} port Where it listens when it is started by hand.
 * @property {string[]} needs Beyond Node.js: `python` (with the packages of `requirements.txt`), or programs.
 * @property {string[]} start Its command. `node` and `python` are those of the examples.
 * @property {string[]} server The files of its server.
 * @property {string[]} page The files of its page.
 * @property {string} shows
 * @property {string[]} try What a visitor may do.
 */

/** @returns {App[]} */
export const readApps = () => JSON.parse(readFileSync(join(EXAMPLES, 'apps.json'), 'utf8'));

/** @param {string} name */
export function findApp(name) {
  const app = readApps().find((each) => each.name === name);
  if (!app) throw new Error(`apps.json has no ${name}`);
  return app;
}

const PYTHON = join(EXAMPLES, '.venv/bin/python');

/** What brings a program that is missing. */
const PACKAGES = /** @type {Record<string, string>} */ ({ 'redis-cli': 'redis-tools' });

/** @param {string} program */
function isInPath(program) {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

/**
 * What an example needs and is not here, each with the command that brings it.
 *
 * @param {Pick<App, 'needs'>} app
 */
export const missing = ({ needs }) =>
  needs.flatMap((need) => {
    if (need === 'python') {
      const line = 'python3 -m venv examples/.venv && examples/.venv/bin/pip install -r examples/requirements.txt';
      return existsSync(PYTHON) ? [] : [`Python with its packages: ${line}`];
    }
    return isInPath(need) ? [] : [`${need}: sudo apt-get install ${PACKAGES[need] ?? need}`];
  });

/**
 * Starts the server of an example and waits for its page.
 *
 * @param {App} app
 * @param {object} options
 * @param {number} options.port
 * @param {string} options.fantail Address of the node, as pages reach it.
 * @param {string} options.redis Address of its ingest port.
 * @param {Record<string, string>} [options.environment] More variables.
 * @param {(line: string) => void} [options.print]
 */
export async function startApp(app, { port, fantail, redis, environment = {}, print }) {
  const lacks = missing(app);
  if (lacks.length) throw new Error(`${app.name} needs what is not here:\n\n    ${lacks.join('\n    ')}\n`);
  const programs = /** @type {Record<string, string>} */ ({ node: process.execPath, python: PYTHON });
  const [program = '', ...words] = app.start;
  const running = startProgram([programs[program] ?? program, ...words], {
    cwd: EXAMPLES,
    environment: { PORT: String(port), PYTHONUNBUFFERED: '1', FANTAIL_URL: fantail, REDIS_URL: redis, ...environment },
    ...(print && { print }),
  });
  const url = `http://127.0.0.1:${port}/`;
  try {
    await untilAnswers(url, running, app.name);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return { ...running, url };
}
