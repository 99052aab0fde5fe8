// Programs that are started here, and end with their children: each has a process group of its own, so that Ctrl-C
// in a terminal reaches them only through us, and the end of a shell ends its pipeline, too.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

/** Time for a program to end in good order. */
const END_MS = 10_000;

/**
 * Programs that have not ended, in the order of their start.
 *
 * @type {Set<{ stop: () => Promise<void>, kill: () => void }>}
 */
const alive = new Set();

let isOver = false;

function killAll() {
  for (const { kill } of alive) kill();
}

// However this process ends, it leaves nobody behind.
process.on('exit', killAll);
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  // A signal that nobody else answers ends a process without an `exit`.
  process.once(signal, () => {
    if (process.listenerCount(signal)) return;
    killAll();
    process.kill(process.pid, signal);
  });
}

/** Ends all programs, the first one last, because the others use it. No other one can be started afterwards. */
export async function stopAllPrograms() {
  isOver = true;
  const [first, ...others] = alive;
  await Promise.all(others.map(({ stop }) => stop()));
  await first?.stop();
}

/** Below the ports that the system gives to connections: none of them takes one while a program starts, or starts again. */
const PORTS = { from: 20_000, count: 2_000 };

/** Files of tests run at the same time, each with ports of its own. */
const FIRST = PORTS.from + PORTS.count * (Number(process.env['VITEST_POOL_ID'] ?? 0) % 6);

/** @type {Set<number>} */
const given = new Set();

/** A port that nobody has at this moment, and that was not given before: whoever has it may not listen yet. */
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * PORTS.count);
    if (given.has(port)) continue;
    const socket = createServer().listen(port, '127.0.0.1');
    const isFree = await new Promise((resolve) => {
      socket.once('listening', () => resolve(true)).once('error', () => resolve(false));
    });
    if (!isFree) continue;
    given.add(port);
    await new Promise((resolve) => socket.close(resolve));
    return port;
  }
}

/**
 * @typedef {object} Running
 * @property {() => boolean} ended
 * @property {() => string} said The last of what it wrote.
 * @property {Promise<void>} exit When it has ended.
 * @property {() => Promise<void>} stop Ends it and its children.
 */

/**
 * Starts a program. It gets the variables in `environment` and `PATH`, `HOME`, `TMPDIR` and `LANG` of ours: settings
 * of another node in the variables of a user must not count here.
 *
 * @param {string[]} command
 * @param {{ cwd: string, environment?: Record<string, string>, print?: (line: string) => void }} options
 * @returns {Running}
 */
export function startProgram([program = '', ...words], { cwd, environment = {}, print }) {
  if (isOver) throw new Error('all programs are being ended');
  const ours = Object.fromEntries(
    ['PATH', 'HOME', 'TMPDIR', 'LANG'].flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
  const child = spawn(program, words, {
    cwd,
    env: { ...ours, ...environment },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let ended = false;
  for (const output of [child.stdout, child.stderr]) {
    let rest = '';
    output.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-10_000);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      if (print) lines.forEach(print);
    });
  }
  const exit = new Promise((resolve) => {
    child.once('error', (error) => {
      said += String(error);
      resolve(undefined);
    });
    child.once('exit', resolve);
  }).then(() => {
    ended = true;
    // Its children may have outlived it.
    signal('SIGKILL');
    alive.delete(self);
  });

  /** @param {NodeJS.Signals} signal */
  function signal(signal) {
    // The number of one that has ended may be another one's by now.
    if (child.pid === undefined || !alive.has(self)) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // Nobody of the group is left.
    }
  }

  const self = {
    kill: () => signal('SIGKILL'),
    async stop() {
      signal('SIGTERM');
      const timer = setTimeout(() => signal('SIGKILL'), END_MS);
      await exit;
      clearTimeout(timer);
    },
  };
  alive.add(self);
  return { ended: () => ended, said: () => said, exit, stop: self.stop };
}

/**
 * Waits until an address answers with success.
 *
 * @param {string} url
 * @param {Running} running Who has to answer.
 * @param {string} name
 */
export async function untilAnswers(url, running, name, deadlineMs = 30_000) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    if (running.ended()) throw new Error(`${name} has ended:\n${running.said()}`);
    if (await fetch(url).then(({ ok }) => ok, () => false)) return;
    if (Date.now() > end) throw new Error(`${name} does not answer at ${url}:\n${running.said()}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
