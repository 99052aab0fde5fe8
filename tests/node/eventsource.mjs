// The npm package `eventsource` as a client. Order: {url, names, withCredentials}.

import { EventSource } from 'eventsource';
import { orders, say } from './talk.mjs';
import { watch } from './watch.mjs';

const sources = [];
say({ type: 'ready', origin: null });
await orders((order) => sources.push(watch(EventSource, order, say)));
for (const source of sources) {
  source.close();
}
