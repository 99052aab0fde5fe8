// The npm package `@microsoft/fetch-event-source` as a client, in a page: it needs one. Order: {url, tokens}.
//
// An end of the stream is an end for good there, unless `onclose` throws; an error is only one for good if `onerror` throws. The package's manual
// does both as it is done here.

import { bearer } from '/bearer.mjs';
import { EventStreamContentType, fetchEventSource } from '/fetch-event-source/index';

class Ended extends Error {}

class Refused extends Error {}

export function watch({ url, tokens }, say) {
  const ended = fetchEventSource(url, {
    fetch: bearer(tokens),
    async onopen(response) {
      if (!response.ok || !response.headers.get('Content-Type').startsWith(EventStreamContentType)) {
        say({ type: 'error', closed: true, status: response.status });
        throw new Refused();
      }
      say({ type: 'open' });
    },
    onmessage({ event, id, data }) {
      // The package also fires for blocks that only move the cursor; whoever uses it passes over them.
      if (data !== '') {
        say({ type: 'event', event: event || 'message', id, data });
      }
    },
    onclose() {
      throw new Ended();
    },
    onerror(error) {
      if (error instanceof Refused) {
        throw error;
      }
      say({ type: 'error', closed: false });
    },
  });
  ended.catch(() => {});
}
