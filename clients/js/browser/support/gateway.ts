/**
 * A reverse proxy that has bad days: it answers streams with statuses of its own, and ends their bodies
 * where a test wants it.
 */
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Fault =
  /** An answer in place of the node's. */
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** The answer of the node up to these bytes and no further. `cut` breaks the connection, too. */
  | { readonly upTo: Buffer; readonly how: 'end' | 'cut'; readonly crlf?: boolean };

export interface Gateway {
  readonly url: string;
  /** Each of the next streams meets one of these. */
  next(...faults: Fault[]): void;
  /** Faults that were met. */
  readonly met: number;
  /** Times at which streams were asked for, and at which the last one failed (`performance.now()`). */
  readonly asked: readonly number[];
  readonly failed: number;
  close(): Promise<void>;
}

export async function startGateway(target: string): Promise<Gateway> {
  const faults: Fault[] = [];
  const asked: number[] = [];
  let met = 0;
  let failed = 0;

  function meet(response: ServerResponse): void {
    met++;
    failed = performance.now();
    if (!response.writableEnded) response.destroy();
  }

  /** Hands bytes on until the fault's bytes have come. */
  function truncate(answer: IncomingMessage, response: ServerResponse, fault: Extract<Fault, { upTo: Buffer }>): void {
    let all = Buffer.alloc(0);
    let sent = 0;
    let done = false;
    answer.on('data', (bytes: Buffer) => {
      if (done) return;
      // The node ends lines with LF.
      const text = fault.crlf ? Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1') : bytes;
      all = Buffer.concat([all, text]);
      const place = all.indexOf(fault.upTo);
      if (place < 0) {
        response.write(text);
        sent = all.length;
        return;
      }
      const rest = all.subarray(sent, place + fault.upTo.length);
      if (fault.how === 'end') {
        response.end(rest);
        meet(response);
        answer.destroy();
      } else {
        // What was written leaves before the end does.
        response.write(rest, () => {
          meet(response);
          answer.destroy();
        });
      }
      done = true;
    });
  }

  const server = createServer((request, response) => {
    const path = (request.url as string).slice(1);
    const isStream = path.startsWith('events');
    const fault = isStream ? faults.shift() : undefined;
    if (isStream) asked.push(performance.now());
    if (fault && 'status' in fault) {
      response.writeHead(fault.status, fault.headers ?? {}).end(fault.body);
      return meet(response);
    }
    const { host: _, ...headers } = request.headers;
    const inner = ask(new URL(path, target), { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      response.flushHeaders();
      answer.on('close', () => answer.complete || fault || response.destroy());
      if (fault) truncate(answer, response, fault);
      else answer.pipe(response);
    });
    inner.on('error', () => {
      if (fault && response.headersSent) return;
      if (response.headersSent) response.destroy();
      else response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>');
    });
    response.on('close', () => inner.destroy());
    request.pipe(inner);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    next: (...more) => void faults.push(...more),
    get met() {
      return met;
    },
    asked,
    get failed() {
      return failed;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
