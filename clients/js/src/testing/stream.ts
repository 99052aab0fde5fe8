/**
 * One stream of a fake node: text goes in, a response body comes out. It knows when all of it is read.
 */
import type { Gap } from '../types.ts';
import { matched, type History, type KeptEvent } from './history.ts';
import type { FakeRequest, FakeStream } from './types.ts';

interface Body {
  readonly stream: ReadableStream<Uint8Array>;
  /** All that was sent is read, and more is asked for; or it is over. */
  readonly idle: boolean;
  readonly over: boolean;
  send(text: string): void;
  end(): void;
  fail(error: unknown): void;
}

function createBody(): Body {
  const encoder = new TextEncoder();
  let waiting = '';
  let ending = false;
  let over = false;
  let asked: (() => void) | undefined;
  let controller!: ReadableStreamDefaultController<Uint8Array>;

  /** Hands over what waits, if the reader wants it. */
  function flush(): void {
    if (over || !asked) return;
    if (waiting) {
      const answer = asked;
      asked = undefined;
      controller.enqueue(encoder.encode(waiting));
      waiting = '';
      answer();
    } else if (ending) {
      over = true;
      controller.close();
      asked();
    }
  }

  return {
    stream: new ReadableStream<Uint8Array>(
      {
        start(own) {
          controller = own;
        },
        pull: () =>
          new Promise<void>((resolve) => {
            asked = resolve;
            flush();
          }),
        cancel() {
          over = true;
        },
      },
      { highWaterMark: 0 },
    ),
    get idle() {
      return over || (asked !== undefined && !waiting && !ending);
    },
    get over() {
      return over || ending;
    },
    send(text) {
      if (over || ending) throw new Error('the stream is over: look for the open ones in `streams`');
      waiting += text;
      flush();
    },
    end() {
      ending = true;
      flush();
    },
    fail(error) {
      if (over) return;
      over = true;
      controller.error(error);
      asked?.();
    },
  };
}

export interface StreamSettings {
  readonly heartbeat: number;
  readonly retry: number | undefined;
}

/** A stream that the node itself can also hand events to. */
export interface NodeStream extends FakeStream {
  readonly body: Body;
  /** Whether it has the event's topic. Before its prime it gets nothing: the history has it. */
  deliver(event: KeptEvent): boolean;
}

export function createNodeStream(request: FakeRequest, history: History, settings: StreamSettings): NodeStream {
  const body = createBody();
  const withTopic = request.url.searchParams.get('with') === 'topic';
  let primed = false;
  /** Id that was sent last. */
  let last = '';

  function write(id: string, lines: readonly string[]): void {
    last = id;
    body.send([...lines, `id: ${id}`, '', ''].join('\n'));
  }

  function tellGap(gap: Gap, id: string): void {
    write(id, ['event: gap', `data: ${JSON.stringify(gap)}`]);
  }

  function deliver({ id, topics, event, data }: KeptEvent): boolean {
    const own = matched(request.topics, topics);
    if (own.length && primed) {
      write(id, [
        ...(withTopic ? own.map((topic) => `topic: ${topic}`) : []),
        ...(event ? [`event: ${event}`] : []),
        ...data.split(/\r\n|\r|\n/).map((line) => `data: ${line}`),
      ]);
    }
    return own.length > 0;
  }

  return {
    request,
    body,
    deliver,
    get open() {
      return !body.over;
    },
    prime() {
      if (primed) return;
      primed = true;
      const { id, gap, events } = history.resume(request.cursor);
      write(id, [
        `: heartbeat ${settings.heartbeat}`,
        ...(settings.retry === undefined ? [] : [`retry: ${settings.retry}`]),
      ]);
      if (gap) tellGap(gap, gap.reason === 'evicted' ? gap.to : id);
      events.forEach(deliver);
    },
    send: (text) => body.send(text),
    gap: (reason = 'evicted') => tellGap({ from: last, to: history.newest, reason }, history.newest),
    drain(retry = 0) {
      body.send(`retry: ${retry}\n\n`);
      body.end();
    },
    cut: () => body.fail(new TypeError('the connection was cut')),
  };
}
