// The npm package `eventsource` as a client. Order: {url, names, withCredentials, tokens}.

import { EventSource } from 'eventsource';
import { bearer } from './bearer.mjs';
import { orders, say } from './talk.mjs';
import { watch } from './watch.mjs';

const sources = [];
say({ type: 'ready', origin: null });
await orders((order) => sources.push(watch(EventSource, order, say, { fetch: bearer(order.tokens) })));
for (const source of sources) {
  source.close();
}
