/**
 * A stream over `fetch`: headers, statuses, and every block and comment of the server.
 */
import { jsonOf } from '../decode.ts';
import { codeOf, FantailError, type Problem } from '../errors.ts';
import type { Config } from '../options.ts';
import { createParser } from '../parser.ts';
import type { StreamRequest, TransportSink, Wire } from './transport.ts';

/** Characters of an error's body that are read. */
const PROBLEM_CHARS_MAX = 65_536;

const DAY_MS = 86_400_000;

const EVENT_STREAM = 'text/event-stream';

/** Headers are bytes for `fetch`. An id of any characters is sent as its UTF-8, as an EventSource does. */
function headerBytes(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** Milliseconds of a `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3). */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('retry-after') || '-';
  const wait = Number(value) * 1_000 || Date.parse(value) - Date.now();
  return wait >= 0 ? Math.min(wait, DAY_MS) : undefined;
}

/** Work after which the page has a turn. */
const BUSY_MAX_MS = 50;

/** Lets timers, events and drawing go first. A hidden page delays timers, but not messages. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(port1.close());
    port2.postMessage(0);
  });
}

/**
 * Hands each piece of text to `take` until it answers `true`. The reader is always released. Pieces that
 * are there already are read without a pause: a page that is slower than its stream would do nothing
 * else.
 */
async function readText(
  { body }: Response,
  signal: AbortSignal,
  take: (text: string) => boolean | void,
): Promise<void> {
  if (!body) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  // A `fetch` that knows no signals would leave the reader waiting.
  const cancel = (): void => void reader.cancel().catch(() => {});
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel);
  let busy = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const began = performance.now();
      if (done || take(decoder.decode(value, { stream: true }))) return;
      busy += performance.now() - began;
      if (busy < BUSY_MAX_MS) continue;
      await turn();
      busy = 0;
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
    reader.releaseLock();
  }
}

/** The error of an answer that is not what was asked for, with the server's own words. */
export async function errorOf(response: Response, signal: AbortSignal): Promise<FantailError> {
  const { status, headers } = response;
  let body = '';
  // No JSON, or cut: the status alone has to do.
  await readText(response, signal, (text) => (body += text).length > PROBLEM_CHARS_MAX).catch(() => {});
  const parsed = jsonOf(body);
  const problem = parsed && typeof parsed === 'object' ? (parsed as Problem) : undefined;
  const detail = problem?.detail ? `: ${problem.detail}` : '';
  return new FantailError(codeOf(status), `the server answered ${status}${detail}`, {
    status,
    problem,
    retryAfter: retryAfter(headers),
  });
}

/** The headers of the application, and the token. */
export async function requestHeaders(config: Config, token: string | null | undefined): Promise<Headers> {
  const { headers } = config;
  const all = new Headers(typeof headers === 'function' ? await headers() : headers);
  if (token) all.set('Authorization', `Bearer ${token}`);
  return all;
}

async function read(request: StreamRequest, sink: TransportSink, signal: AbortSignal): Promise<void> {
  const { url, token, cursor, runtime } = request;
  const { config } = runtime;
  const headers = await requestHeaders(config, token);
  headers.set('Accept', EVENT_STREAM);
  if (cursor) headers.set('Last-Event-ID', headerBytes(cursor));
  const response = await config.fetch(url.href, {
    headers,
    signal,
    credentials: config.credentials,
    cache: 'no-store',
  });
  const type = response.headers.get('content-type');
  if (response.status !== 200) throw await errorOf(response, signal);
  if (!type?.toLowerCase().startsWith(EVENT_STREAM)) {
    // Read to its end it might never be.
    response.body?.cancel().catch(() => {});
    throw new FantailError('protocol', `the content type is ${type}, not ${EVENT_STREAM}`, { status: 200 });
  }
  if (!response.body) throw new FantailError('protocol', 'this `fetch` has no streams; give another one as `fetch`');
  // A Mercure hub says where it goes on; a cursor that it does not know is not an error.
  const since = response.headers.get('last-event-id');
  sink.accepted(cursor && since && cursor !== 'earliest' && since !== headerBytes(cursor) ? since : undefined);
  const parse = createParser(sink);
  await readText(response, signal, (text) => {
    // What came with the last bytes of a request that was stopped is another one's to tell.
    if (signal.aborted) return true;
    sink.heard();
    parse(text);
    return false;
  });
}

/** The error of whatever was thrown on the way to a stream. */
export function failureOf(cause: unknown): FantailError {
  if (cause instanceof FantailError) return cause;
  return cause instanceof RangeError
    ? new FantailError('protocol', cause.message, { cause })
    : new FantailError('network', `the connection failed: ${cause}`, { cause });
}

export function fetchTransport(request: StreamRequest, sink: TransportSink): Wire {
  const abort = new AbortController();
  const { signal } = abort;
  read(request, sink, signal).then(
    () => signal.aborted || sink.end(),
    (cause: unknown) => {
      if (signal.aborted) return;
      abort.abort();
      sink.end(failureOf(cause));
    },
  );
  return { stop: () => abort.abort() };
}
