// Watches one stream and says all that an application could see of it. Runs as it is in Node.js and in a page: it is given the `EventSource` to use.

export function watch(EventSource, { url, names = [], withCredentials = false }, say) {
  const source = new EventSource(url, { withCredentials });
  source.addEventListener('open', () => say({ type: 'open' }));
  source.addEventListener('error', () => say({ type: 'error', closed: source.readyState === EventSource.CLOSED }));
  for (const name of ['message', ...names]) {
    source.addEventListener(name, (event) =>
      say({ type: 'event', event: event.type, id: event.lastEventId, data: event.data, origin: event.origin }),
    );
  }
  return source;
}
