// Several pages in one browser, over HTTPS, each with one `EventSource`.
// Usage: node pages.mjs KIND EXECUTABLE CERTIFICATE KEY
// KIND is `chromium` or `firefox`. The certificate is that of the pages' own server.
//
// Order {page, at, url, names, withCredentials}: opens a page of that name at the address `at`, or at the origin of this script's server, and watches the
// stream. Reports have the page's name.
// Order {cookie}: the pages' server sends it with every page from then on.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { launch } from './launch.mjs';
import { orders, say } from './talk.mjs';
import { watch } from './watch.mjs';

const [kind, executable, cert, key] = process.argv.slice(2);
const document = { contentType: 'text/html', body: '<!doctype html><title>A page</title>' };
let cookie;

const server = createServer({ cert: await readFile(cert), key: await readFile(key) }, (request, response) => {
  if (cookie) {
    response.setHeader('Set-Cookie', cookie);
  }
  response.setHeader('Content-Type', document.contentType).end(document.body);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `https://127.0.0.1:${server.address().port}`;

const browser = await launch(kind, executable);
try {
  say({ type: 'ready', origin });
  await orders(async (order) => {
    if (order.cookie) {
      cookie = order.cookie;
      return;
    }
    const page = await browser.context.newPage();
    await page.exposeFunction('say', (report) => say({ page: order.page, ...report }));
    if (order.at) {
      // A page of the proxy's origin, which serves none.
      await page.route(order.at, (route) => route.fulfill(document));
    }
    await page.goto(order.at ?? origin);
    await page.unrouteAll();
    // The script of the other watchers, as text: a page of the proxy's origin has no modules.
    await page.evaluate(`(${watch})(EventSource, ${JSON.stringify(order)}, window.say)`);
  });
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
}
