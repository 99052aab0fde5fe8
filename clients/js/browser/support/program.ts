/**
 * The real node, as the program of `FANTAIL_BIN`: started with the settings of a test, restarted on the
 * same ports, and asked for what it counts.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { SECRET, token } from './token.ts';

/** What a test publishes. */
interface Published {
  readonly topic: string;
  readonly data: string;
  readonly event?: string;
}

export interface NodeProgram {
  readonly url: string;
  /** Publishes one event, and returns its id. */
  publish(topic: string, data: string): Promise<string>;
  /** Publishes events in one request, in their order. */
  publishAll(events: readonly Published[]): Promise<void>;
  /** Streams that are open, by the node's own count. */
  streams(): Promise<number>;
  /** The sum of a metric over its labels; of some of them, if the name goes on with `{label="value"`. */
  metric(name: string): Promise<number>;
  /** Starts it again, on the same ports, after `stop`. */
  start(): Promise<void>;
  /** Ends it as a supervisor does: it drains. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Below the ports that the system gives to connections: none of them takes one while the node starts again. */
const PORTS = { from: 20_000, count: 2_000 };

/** Files of tests run at the same time, each with ports of its own. */
const FIRST = PORTS.from + PORTS.count * (Number(process.env['VITEST_POOL_ID'] ?? 0) % 6);

const given = new Set<number>();

/** Longest wait for a node that starts; far above its needs on a loaded machine. */
const START_MS = 60_000;

/** A port that was free a moment ago, and that was not given before: whoever has it may not listen yet. */
async function freePort(): Promise<number> {
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

/** The program of `FANTAIL_BIN`. */
function programOf(): string {
  const program = process.env['FANTAIL_BIN'];
  if (program) return program;
  throw new Error('this test needs the node itself: set FANTAIL_BIN to the program, such as target/debug/fantail');
}

export async function startProgram(settings: readonly string[] = [], program = programOf()): Promise<NodeProgram> {
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const [listen, ingest, admin] = ports.map((port) => `127.0.0.1:${port}`) as [string, string, string];
  const url = `http://${listen}/`;
  const authorization = `Bearer ${token(36_000)}`;
  let child: ChildProcess;
  let ended: Promise<unknown>;
  let said = '';

  async function start(): Promise<void> {
    child = spawn(
      program,
      ['--listen', listen, '--ingest-listen', ingest, '--admin-listen', admin, '--anonymous', ...settings],
      { env: { FANTAIL_JWT_SECRET: SECRET }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
    child.on('error', (error) => (said += String(error)));
    child.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    const end = Date.now() + START_MS;
    while (!(await fetch(`${url}readyz`).then(({ ok }) => ok, () => false))) {
      if (Date.now() > end) throw new Error(`the node does not answer at ${url}: ${said}`);
      if (child.exitCode !== null || child.pid === undefined) throw new Error(`the node ended: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async function stop(): Promise<void> {
    child.kill();
    await ended;
  }

  async function post(path: string, type: string, body: string): Promise<unknown> {
    const answer = await fetch(url + path, { method: 'POST', body, headers: { authorization, 'content-type': type } });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`publishing: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    const values = text.split('\n').filter((line) => [`${name}{`, `${name},`, `${name} `].some((begin) => line.startsWith(begin)));
    if (!values.length) throw new Error(`the node has no metric ${name}`);
    return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  await start();
  return {
    url,
    publish: async (topic, data) => ((await post(`publish/${topic}`, 'text/plain', data)) as { id: string }).id,
    async publishAll(events) {
      await post('publish', 'application/x-ndjson', events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    },
    streams: () => metric('fantail_streams'),
    metric,
    start,
    stop,
    close: stop,
  };
}
