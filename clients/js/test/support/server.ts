/**
 * An SSE server within the test: it notes each request, and sends whatever bytes the test wants.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request, and the way to answer it. */
export interface Exchange {
  readonly url: URL;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The client has gone, or the answer has ended. */
  readonly gone: boolean;
  /** The head of a stream, and its prime. */
  prime(id: string, retry?: number): this;
  /** The head of a stream alone. */
  head(status?: number, headers?: Record<string, string>): this;
  send(text: string): this;
  event(id: string, data: string, options?: { event?: string; topic?: string | string[] }): this;
  end(text?: string): void;
  /** Ends the connection in the middle. */
  cut(): void;
  answer(status: number, body?: unknown, headers?: Record<string, string>): void;
}

export interface TestServer {
  readonly url: string;
  readonly exchanges: Exchange[];
  /** Streams that are open now. */
  open(): Exchange[];
  /** The exchange of this number (from 0), as soon as it is there. */
  exchange(index: number): Promise<Exchange>;
  /** Answers each exchange by itself; also those that are there. */
  each(answer: (exchange: Exchange, index: number) => void): void;
  close(): Promise<void>;
}

/** Waits for a condition with a deadline. */
export async function until<T>(
  what: () => T | undefined | false | null,
  name: string | (() => string) = String(what),
  deadlineMs = 8_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = what();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${typeof name === 'string' ? name : name()}`);
    await new Promise((resolve) => realTimeout(resolve, 2));
  }
}

/** Of the real clock, also where a test has a fake one. */
const realTimeout = setTimeout;

function exchangeOf(request: IncomingMessage, response: ServerResponse, body: string): Exchange {
  let gone = false;
  response.on('close', () => (gone = true));
  const exchange: Exchange = {
    url: new URL(request.url as string, 'http://127.0.0.1'),
    method: request.method as string,
    headers: request.headers,
    body,
    get gone() {
      return gone;
    },
    prime(id, retry) {
      return exchange.head().send(`: heartbeat 15000\n${retry === undefined ? '' : `retry: ${retry}\n`}id: ${id}\n\n`);
    },
    head(status = 200, headers = {}) {
      response.writeHead(status, { 'content-type': 'text/event-stream', ...headers });
      response.flushHeaders();
      return exchange;
    },
    send(text) {
      response.write(text);
      return exchange;
    },
    event(id, data, { event, topic = [] } = {}) {
      const topics = (typeof topic === 'string' ? [topic] : topic).map((each) => `topic: ${each}\n`).join('');
      return exchange.send(`${topics}id: ${id}\n${event ? `event: ${event}\n` : ''}data: ${data}\n\n`);
    },
    end: (text) => void response.end(text),
    cut: () => void response.socket?.destroy(),
    answer(status, answer = { title: 'x', detail: `no ${status}` }, headers = {}) {
      const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
      response.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
      response.end(text);
    },
  };
  return exchange;
}

export async function startServer(): Promise<TestServer> {
  const exchanges: Exchange[] = [];
  const sockets = new Set<Socket>();
  let answer: ((exchange: Exchange, index: number) => void) | undefined;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const exchange = exchangeOf(request, response, body);
      exchanges.push(exchange);
      answer?.(exchange, exchanges.length - 1);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    exchanges,
    open: () => exchanges.filter(({ gone }) => !gone),
    exchange: (index) => until(() => exchanges[index], `exchange ${index}`),
    each(each) {
      answer = each;
      exchanges.forEach(each);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
