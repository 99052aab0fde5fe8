// Starts a node and all examples whose needs are here, and serves a page that links to them:
//
//   node demo/start.mjs [PORT]    the page is at PORT, or at a free port
//
// Ends all of it on Ctrl-C, when the terminal is closed, and if the node or an example ends.
import { createServer } from 'node:http';
import { buildPages } from '../build.mjs';
import { missing, readApps, startApp } from './apps.mjs';
import { indexPage } from './index.mjs';
import { nodePorts, nodeProgram, startNode } from './node.mjs';
import { freePort, stopAllPrograms } from './processes.mjs';

/** @param {string | undefined} text */
function portOf(text) {
  if (text === undefined) return 0;
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw new Error(`${text} is no port: 1 to 65535`);
}

/** @param {string} name */
const printAs = (name) => (/** @type {string} */ line) => console.log(`${name.padEnd(13)} | ${line}`);

let ending = false;

/** @param {number} code */
async function end(code) {
  ending = true;
  await stopAllPrograms();
  process.exit(code);
}

/**
 * If one of them ends, the demo is not what its page says.
 *
 * @param {import('./processes.mjs').Running} running
 * @param {string} name
 */
function watch(running, name) {
  void running.exit.then(() => {
    if (ending) return;
    console.error(`\n${name} has ended, and so do the others.`);
    void end(1);
  });
}

/** @param {number} port */
async function start(port) {
  // Before anything runs: what is missing here is missing for all of it.
  nodeProgram();
  await buildPages();
  // The page comes first: if its port is taken, nothing else is started.
  let page = '';
  const server = createServer((request, response) => {
    const isFound = request.url === '/' && page !== '';
    response.writeHead(isFound ? 200 : 404, { 'Content-Type': 'text/html; charset=utf-8' }).end(isFound ? page : '');
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(null)));

  const apps = await Promise.all(
    readApps().map(async (app) => ({ app, lacks: missing(app), port: await freePort() })),
  );
  const here = apps.filter(({ lacks }) => !lacks.length);
  const hosts = ['127.0.0.1', 'localhost'];
  const origins = here.flatMap((each) => hosts.map((host) => `http://${host}:${each.port}`));
  const node = await startNode({ ports: await nodePorts(), origins, print: printAs('node') });
  watch(node, 'the node');
  const urls = new Map(
    await Promise.all(
      here.map(async ({ app, port: appPort }) => {
        const options = { port: appPort, fantail: node.url, redis: node.redis, print: printAs(app.name) };
        const running = await startApp(app, options);
        watch(running, app.name);
        return /** @type {const} */ ([app.name, running.url]);
      }),
    ),
  );
  const entries = apps.map(({ app, lacks }) => {
    const url = urls.get(app.name);
    return { app, lacks, ...(url && { url }) };
  });
  page = indexPage({ entries, node });
  for (const { app, lacks } of apps) {
    if (lacks.length) console.log(`\n${app.name} is not started. It needs:\n\n    ${lacks.join('\n    ')}`);
  }
  const { port: own } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`\nThe examples are at http://127.0.0.1:${own}/ (Ctrl-C ends them)\n`);
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    // Whoever says it twice does not want to wait.
    if (ending) process.exit(1);
    void end(0);
  });
}

try {
  await start(portOf(process.argv[2]));
} catch (error) {
  if (!ending) {
    console.error(`\n${error instanceof Error ? error.message : error}`);
    await end(1);
  }
}
