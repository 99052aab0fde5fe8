/**
 * A stream over the browser's own `EventSource`: with cookies or a token in the address, and without
 * statuses, headers, comments, and the ids of heartbeats. Loaded only where it is chosen.
 */
import { FantailError } from '../errors.ts';
import type { StreamRequest, TransportSink, Wire } from './transport.ts';

/**
 * `open` fires before the server's first word, and a shed stream ends within this time after it
 * (milliseconds).
 */
const SETTLED_MS = 500;

export function eventSourceTransport(request: StreamRequest, sink: TransportSink): Wire {
  if (typeof EventSource === 'undefined') {
    sink.end(new FantailError('protocol', 'there is no EventSource here; leave `transport` out'));
    return { stop() {} };
  }
  const { token, cursor, runtime } = request;
  const { names, nameListeners, config } = runtime;
  const url = new URL(request.url);
  if (token) url.searchParams.set('authorization', token);
  if (cursor) url.searchParams.set('lastEventID', cursor);
  // Without, heartbeats are silent here, and a dead line is not noticed.
  if (config.server === 'fantail') url.searchParams.set('heartbeat', 'event');
  const source = new EventSource(url, { withCredentials: config.credentials === 'include' });
  const heard = new Set<string>();
  let settled: ReturnType<typeof setTimeout> | undefined;

  function stop(): void {
    clearTimeout(settled);
    nameListeners.delete(listen);
    source.close();
  }

  function onEvent({ type, data, lastEventId }: MessageEvent<string>): void {
    sink.heard();
    sink.accepted();
    // A heartbeat that a page can see has no other meaning.
    sink.block({
      id: lastEventId || undefined,
      ...(type !== 'heartbeat' && { data, event: type }),
      topics: [],
    });
  }

  function listen(): void {
    for (const name of names) {
      if (heard.has(name) || name === 'error' || name === 'open') continue;
      heard.add(name);
      source.addEventListener(name, onEvent as (event: Event) => void);
    }
  }

  listen();
  nameListeners.add(listen);
  source.onopen = () => {
    sink.heard();
    settled = setTimeout(() => sink.accepted(), SETTLED_MS);
  };
  source.onerror = () => {
    const refused = source.readyState === EventSource.CLOSED;
    stop();
    sink.end(
      refused
        ? new FantailError('refused', 'the server refused the stream; an EventSource does not tell why')
        : new FantailError('network', 'the stream ended'),
    );
  };
  return { stop };
}
