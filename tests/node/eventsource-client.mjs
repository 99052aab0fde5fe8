// The npm package `eventsource-client` as a client. Order: {url, tokens}.
//
// The package takes any answer for a stream and asks again when it ends, whatever its status was; so an application looks at the status in the
// `fetch` that it gives, and closes.

import { createEventSource } from 'eventsource-client';
import { bearer } from './bearer.mjs';
import { orders, say } from './talk.mjs';

function watch({ url, tokens }) {
  const send = bearer(tokens);
  let refused;
  const source = createEventSource({
    url,
    async fetch(...request) {
      const response = await send(...request);
      if (response.ok) {
        say({ type: 'open' });
      } else {
        refused = response.status;
        source.close();
        say({ type: 'error', closed: true, status: refused });
      }
      return response;
    },
    onDisconnect() {
      if (refused === undefined) {
        say({ type: 'error', closed: false });
      }
    },
    onMessage({ event = 'message', id, data }) {
      say({ type: 'event', event, id, data });
    },
  });
  return source;
}

const sources = [];
say({ type: 'ready', origin: null });
await orders((order) => sources.push(watch(order)));
for (const source of sources) {
  source.close();
}
