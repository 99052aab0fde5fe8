// Chromium's own `EventSource`, in a page that is served from an origin of its own. Order: {url, names, withCredentials}.
// Usage: node browser.mjs CHROMIUM

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { orders, say } from './talk.mjs';

const script = await readFile(new URL('./watch.mjs', import.meta.url));

// The page: nothing but the watcher, as a module.
const server = createServer((request, response) => {
  if (request.url === '/watch.mjs') {
    response.setHeader('Content-Type', 'text/javascript').end(script);
  } else {
    response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>A page</title>');
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;

const profile = await mkdtemp(join(tmpdir(), 'fantail-chromium-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.argv[2],
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Nothing in this test may look beyond this machine.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});

try {
  const page = await browser.newPage();
  await page.exposeFunction('say', say);
  await page.goto(origin);
  say({ type: 'ready', origin });
  await orders((order) =>
    page.evaluate(async (options) => {
      const { watch } = await import('/watch.mjs');
      watch(EventSource, options, window.say);
    }, order),
  );
} finally {
  await browser.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}
