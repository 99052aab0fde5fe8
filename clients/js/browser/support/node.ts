/**
 * The node that the browsers hear: that of `FANTAIL_BIN`, or without it a small one within the test.
 * Pages reach it through their site, so both are counted in the same way.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startProgram } from './program.ts';
import { endOf } from './token.ts';

export interface TestNode {
  readonly url: string;
  /** Whether it knows `?with=topic`. Without it, a stream of several topics cannot be told apart. */
  readonly tellsTopics: boolean;
  publish(topic: string, data: string): Promise<void>;
  /** Streams that are open, by its own count. */
  streams(): Promise<number>;
  close(): Promise<void>;
}

export const startNode = (): Promise<TestNode> => {
  const program = process.env['FANTAIL_BIN'];
  return program ? startBinary(program) : startSmall();
};

/** Settings of the node that the tabs hear. */
const SETTINGS = ['--heartbeat-interval', '2s'];

async function startBinary(path: string): Promise<TestNode> {
  const program = await startProgram(SETTINGS, path);
  const probe = await fetch(`${program.url}events?topic=t&with=topic`);
  await probe.body?.cancel();
  return {
    ...program,
    tellsTopics: probe.ok,
    publish: async (topic, data) => void (await program.publish(topic, data)),
  };
}

interface Kept {
  readonly number: number;
  readonly topic: string;
  readonly data: string;
}

const MARK = 'k3mq7z';

const HEARTBEAT_MS = 2_000;

async function startSmall(): Promise<TestNode> {
  const start = Date.now();
  const kept: Kept[] = [];
  const streams = new Map<ServerResponse, Set<string>>();
  let count = 0;

  const idOf = (number: number): string => `${start}-${number}.${MARK}`;

  function write(response: ServerResponse, topics: Set<string>, { number, topic, data }: Kept): void {
    if (topics.has(topic)) response.write(`topic: ${topic}\nid: ${idOf(number)}\ndata: ${data}\n\n`);
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url as string, 'http://127.0.0.1');
    const { authorization } = request.headers;
    const end = endOf(authorization);
    if (authorization && end === undefined) {
      response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"detail":"the token has expired"}');
      return;
    }
    const cursor = request.headers['last-event-id'] as string | undefined;
    const topics = new Set(url.searchParams.getAll('topic'));
    const from = cursor === 'earliest' ? 0 : cursor ? Number(/-(\d+)\./.exec(cursor)?.[1]) : count;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(`: heartbeat ${HEARTBEAT_MS}\nretry: 100\nid: ${idOf(from)}\n\n`);
    for (const event of kept) if (event.number > from) write(response, topics, event);
    streams.set(response, topics);
    const limit = end && setTimeout(() => response.end(), end - Date.now());
    response.on('close', () => {
      clearTimeout(limit);
      streams.delete(response);
    });
  });
  const timer = setInterval(() => {
    for (const response of streams.keys()) response.write(`id: ${idOf(count)}\n\n`);
  }, HEARTBEAT_MS);
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    tellsTopics: true,
    publish(topic, data) {
      const event = { number: ++count, topic, data };
      kept.push(event);
      for (const [response, topics] of streams) write(response, topics, event);
      return Promise.resolve();
    },
    streams: () => Promise.resolve(streams.size),
    async close() {
      clearInterval(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
