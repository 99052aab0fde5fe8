/**
 * `@fantail/client/testing`: a node without a network, for tests of what is built on the client. What it
 * sends goes through the client's own parser, cursors and waits. It knows names and wildcards, no URI
 * templates; it grants every topic, and checks no token.
 */
import { createHistory } from './history.ts';
import { createNodeStream, type NodeStream } from './stream.ts';
import { turn } from './turn.ts';
import type { FakeNode, FakeNodeOptions, FakeRequest, FakeStream } from './types.ts';

export type {
  FakeNode,
  FakeNodeOptions,
  FakePublishOptions,
  FakeRequest,
  FakeStream,
  RefuseOptions,
} from './types.ts';

const DAY_MS = 86_400_000;

/** Turns of the event loop after which a client that does not read counts as stuck. */
const TURNS_MAX = 1_000;

const STREAM_HEADERS = { 'content-type': 'text/event-stream' };

/** An answer that is not a stream of events, and how often it is still given. */
interface Refusal {
  times: number;
  /** Whether this request is refused. */
  concerns(request: FakeRequest): boolean;
  answer(): Response;
}

function whole(name: string, value: number, min: number, max: number): number {
  if ((Number.isInteger(value) || value === Infinity) && value >= min && value <= max) return value;
  throw new TypeError(`\`${name}\` is ${value}; it must be a whole number from ${min} to ${max}`);
}

function requestOf(method: string, url: URL, headers: Headers): FakeRequest {
  return {
    method,
    url,
    headers,
    topics: url.searchParams.getAll('topic'),
    cursor: headers.get('last-event-id') ?? undefined,
    token: /^Bearer (.*)$/.exec(headers.get('authorization') ?? '')?.[1],
  };
}

/**
 * Makes a node for `createClient({ url: node.url, fetch: node.fetch })`.
 *
 * @throws TypeError if an option is out of its limits.
 */
export function createFakeNode(options: FakeNodeOptions = {}): FakeNode {
  const { url = 'http://fantail.test/', heartbeat = 15_000, retry, prime = 'auto' } = options;
  if (!URL.canParse(url) || !url.endsWith('/')) throw new TypeError(`\`url\` is ${url}; it must end with /`);
  whole('heartbeat', heartbeat, 1, DAY_MS);
  if (retry !== undefined) whole('retry', retry, 0, DAY_MS);
  const history = createHistory();
  const requests: FakeRequest[] = [];
  const refusals: Refusal[] = [];
  const waiting = new Set<(stream: FakeStream) => void>();
  let streams: NodeStream[] = [];

  const open = (): NodeStream[] => (streams = streams.filter((stream) => stream.open));

  function publish(topics: readonly string[], data: unknown, event?: string, own?: string): { id: string; subscribers: number } {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    if (!topics.length) throw new TypeError('an event needs a topic');
    if (text === undefined) throw new TypeError('`data` must be a text or what JSON can hold');
    const added = history.add(topics, text, event, own);
    return { id: added.id, subscribers: open().filter((stream) => stream.deliver(added)).length };
  }

  function openStream(request: FakeRequest, signal: AbortSignal | null | undefined): Response {
    const stream = createNodeStream(request, history, { heartbeat, retry });
    streams.push(stream);
    signal?.addEventListener('abort', () => stream.body.fail(signal.reason));
    if (prime === 'auto') stream.prime();
    for (const tell of waiting) tell(stream);
    waiting.clear();
    return new Response(stream.body.stream, { headers: STREAM_HEADERS });
  }

  async function answer(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
    const { signal, method = 'GET', body } = init;
    signal?.throwIfAborted();
    const address = new URL(input instanceof Request ? input.url : input);
    const request = requestOf(method, address, new Headers(init.headers));
    const call = address.href.startsWith(url) ? address.pathname.slice(new URL(url).pathname.length) : undefined;
    if (`${method} ${call}` !== 'GET events' && `${method} ${call}` !== 'POST publish') {
      throw new TypeError(`the fake node at ${url} does not answer ${method} ${address.href}`);
    }
    requests.push(request);
    const refusal = refusals.find((each) => each.times > 0 && each.concerns(request));
    if (refusal) {
      refusal.times--;
      return refusal.answer();
    }
    if (call === 'events') return openStream(request, signal);
    const event = JSON.parse(String(body)) as { topics: string[]; data: unknown; event?: string; id?: string };
    return Response.json(publish(event.topics, event.data, event.event, event.id));
  }

  return {
    url,
    fetch: answer,
    requests,
    get streams() {
      return open();
    },
    async stream() {
      return open().at(-1) ?? new Promise((resolve) => waiting.add(resolve));
    },
    publish: (topic, data, { event, id } = {}) => publish([topic].flat() as string[], data, event, id).id,
    heartbeat: () => open().forEach((stream) => stream.send(`id: ${history.newest}\n\n`)),
    gap: (reason) => open().forEach((stream) => stream.gap(reason)),
    forget: history.forget,
    drain: (wait) => open().forEach((stream) => stream.drain(wait)),
    cut: () => open().forEach((stream) => stream.cut()),
    refuse(status, { times = 1, detail = 'the test wants it', retryAfter } = {}) {
      whole('status', status, 400, 599);
      refusals.push({
        times: whole('times', times, 1, Infinity),
        concerns: () => true,
        answer: () =>
          new Response(JSON.stringify({ title: `${status}`, status, detail }), {
            status,
            headers: {
              'content-type': 'application/problem+json',
              ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
            },
          }),
      });
    },
    shed(times = 1, wait = 0) {
      refusals.push({
        times: whole('times', times, 1, Infinity),
        concerns: ({ method }) => method === 'GET',
        answer: () => new Response(`retry: ${wait}\n\n`, { headers: STREAM_HEADERS }),
      });
    },
    async settled() {
      for (let turns = 0; ; turns++) {
        await turn();
        if (streams.every(({ body }) => body.idle)) break;
        if (turns === TURNS_MAX) throw new Error('the client does not read its stream to the end');
      }
      // What the client does with the last of it.
      await turn();
    },
  };
}
