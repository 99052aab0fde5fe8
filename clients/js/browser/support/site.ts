/**
 * The site of the pages: the built package, pages that use it, tokens, and the node below `/hub/`. All
 * of it is one origin, so the browser's limit of connections counts.
 */
import { access, readFile } from 'node:fs/promises';
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestNode } from './node.ts';
import { token } from './token.ts';

export interface Site {
  readonly url: string;
  /** Streams that are open now. */
  readonly streams: number;
  /** Most streams that were open at once since the last `forget`. */
  readonly most: number;
  /** Requests for a stream, and for a token. */
  readonly connects: number;
  readonly tokens: number;
  forget(): void;
  /** Life of the tokens, in seconds. */
  tokenLife: number;
  /** Answers streams with this status from now on, and cuts those that are open. */
  refuse(status: number): void;
  cut(): void;
  /** Further files of the site, by their path without the first slash. */
  readonly files: Map<string, string>;
  close(): Promise<void>;
}

const DIST = new URL('../../dist/', import.meta.url);

const TYPES: Record<string, string> = { html: 'text/html; charset=utf-8', js: 'text/javascript', json: 'application/json' };

export async function startSite(node: Pick<TestNode, 'url' | 'tellsTopics'>): Promise<Site> {
  await access(new URL('index.js', DIST)).catch(() => {
    throw new Error('there is no dist/: `npm run build` makes it');
  });
  const open = new Set<ServerResponse>();
  let most = 0;
  let connects = 0;
  let tokens = 0;
  let refusal = 0;

  function forward(request: IncomingMessage, response: ServerResponse, path: string): void {
    const isStream = path.startsWith('events');
    if (isStream) {
      connects++;
      if (refusal) {
        response.writeHead(refusal).end();
        return;
      }
      open.add(response);
      most = Math.max(most, open.size);
    }
    const { host: _, ...headers } = request.headers;
    const url = new URL(path, node.url);
    if (!node.tellsTopics) url.searchParams.delete('with');
    const inner = ask(url, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode as number, answer.headers);
      response.flushHeaders();
      // What was cut behind is cut in front, too: `pipe` would leave it open.
      answer.on('close', () => answer.complete || response.destroy());
      answer.pipe(response);
    });
    inner.on('error', () => response.destroy());
    response.on('close', () => {
      open.delete(response);
      inner.destroy();
    });
    request.pipe(inner);
  }

  const files = new Map<string, string>();

  const server = createServer((request, response) => {
    const path = (request.url as string).slice(1);
    const own = path.split('?', 1)[0] as string;
    const file = files.get(own);
    if (file !== undefined) {
      response.setHeader('content-type', TYPES[own.split('.').at(-1) as string] ?? 'text/plain');
      return void response.end(file);
    }
    if (path.startsWith('hub/')) return forward(request, response, path.slice(4));
    if (path === 'token') {
      tokens++;
      response.end(token(site.tokenLife));
    } else if (path.startsWith('dist/')) {
      readFile(new URL(path.slice(5), DIST)).then(
        (text) => response.setHeader('content-type', 'text/javascript').end(text),
        () => response.writeHead(404).end(),
      );
    } else if (path === 'worker.js') {
      response.setHeader('content-type', 'text/javascript').end("import '/dist/worker.js';");
    } else if (/\.js$/.test(path) && !path.includes('?')) {
      response.writeHead(404).end();
    } else {
      const name = path.startsWith('page') ? 'page.html' : 'away.html';
      void readFile(new URL(name, import.meta.url)).then((text) => response.setHeader('content-type', 'text/html').end(text));
    }
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));

  const site: Site = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get streams() {
      return open.size;
    },
    get most() {
      return most;
    },
    get connects() {
      return connects;
    },
    get tokens() {
      return tokens;
    },
    forget() {
      most = open.size;
      connects = tokens = 0;
    },
    tokenLife: 600,
    files,
    refuse(status) {
      refusal = status;
      site.cut();
    },
    cut() {
      for (const response of open) response.destroy();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return site;
}
