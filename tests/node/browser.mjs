// Chromium, with a page that is served from an origin of its own.
// Usage: node browser.mjs CHROMIUM [WATCHER]
// WATCHER is `eventsource` for Chromium's own `EventSource` (the default), or `fetch-event-source`.
//
// Order {url, names, withCredentials, tokens}: watches a stream.
// Order {cookie}: keeps it as if the page's server had sent it in the field Set-Cookie, and says {type: 'kept'}.
// Order {read, fields, headers}: fetches the address, and says {type: 'read', status, fields}: of these fields of the answer, all that
// the page may read.
// Order {post, form, mode}: sends the form as the page would, cookies included; says {type: 'posted', status, seen}.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { launch } from './launch.mjs';
import { orders, say } from './talk.mjs';

const watcher = process.argv[3] ?? 'eventsource';
const modules = /^\/(watch|bearer|fetch-event-source)\.mjs$/;
const library = /^\/fetch-event-source\/(index|fetch|parse)$/;
let cookie;

// The page: nothing but the watcher, as a module.
const server = createServer(async (request, response) => {
  const [, module] = modules.exec(request.url) ?? [];
  const [, part] = library.exec(request.url) ?? [];
  const file = module ? `./${module}.mjs` : part && `./node_modules/@microsoft/fetch-event-source/lib/esm/${part}.js`;
  if (file) {
    const script = await readFile(new URL(file, import.meta.url));
    response.setHeader('Content-Type', 'text/javascript').end(script);
  } else {
    if (cookie) {
      response.setHeader('Set-Cookie', cookie);
    }
    response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>A page</title>');
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await launch('chromium', process.argv[2]);

// Each runs in the page.
const watch = {
  eventsource: async (order) => {
    const { watch } = await import('/watch.mjs');
    watch(EventSource, order, window.say);
  },
  'fetch-event-source': async (order) => {
    const { watch } = await import('/fetch-event-source.mjs');
    watch(order, window.say);
  },
};

// The status as it was on the wire, and as the page sees it: 0 where it may not.
async function post(page, { post: url, form, mode }) {
  const answered = page.waitForResponse((response) => response.url() === url && response.request().method() === 'POST');
  const seen = page.evaluate(
    async ({ url, form, mode }) =>
      (await fetch(url, { method: 'POST', mode, credentials: 'include', body: new URLSearchParams(form) })).status,
    { url, form, mode },
  );
  return { status: (await answered).status(), seen: await seen };
}

// The page reads the head alone: the answer may be a stream.
async function read({ read: url, fields, headers }) {
  const abort = new AbortController();
  const answer = await fetch(url, { headers, signal: abort.signal });
  const found = fields.map((name) => [name, answer.headers.get(name)]);
  abort.abort();
  return { status: answer.status, fields: Object.fromEntries(found) };
}

try {
  const page = await browser.context.newPage();
  await page.exposeFunction('say', say);
  await page.goto(origin);
  say({ type: 'ready', origin });
  await orders(async (order) => {
    if (order.cookie) {
      cookie = order.cookie;
      await page.evaluate(() => fetch('/').then((answer) => answer.text()));
      say({ type: 'kept' });
    } else if (order.read) {
      say({ type: 'read', ...(await page.evaluate(read, order)) });
    } else if (order.post) {
      say({ type: 'posted', ...(await post(page, order)) });
    } else {
      await page.evaluate(watch[watcher], order);
    }
  });
} finally {
  await browser.close();
  server.close();
}
