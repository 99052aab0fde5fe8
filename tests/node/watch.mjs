// Watches one stream and says all that an application could see of it. Runs as it is in Node.js and in a page: it is given the `EventSource` to use,
// and what else that takes.

export function watch(EventSource, { url, names = [], withCredentials = false }, say, options = {}) {
  const source = new EventSource(url, { withCredentials, ...options });
  source.addEventListener('open', () => say({ type: 'open' }));
  // `code` is the status where the client tells it; browsers do not.
  source.addEventListener('error', ({ code }) => say({ type: 'error', closed: source.readyState === EventSource.CLOSED, status: code }));
  for (const name of ['message', ...names]) {
    source.addEventListener(name, (event) =>
      say({ type: 'event', event: event.type, id: event.lastEventId, data: event.data, origin: event.origin }),
    );
  }
  return source;
}
