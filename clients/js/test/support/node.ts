/**
 * A small node: topics, ids, a history, cursors and `with=topic`, over the server of the tests.
 */
import type { Exchange, TestServer } from './server.ts';
import { id } from './setup.ts';

interface Kept {
  /** Its place, whatever its id. */
  readonly number: number;
  readonly id: string;
  readonly topics: string[];
  readonly data: string;
}

export interface SmallNode {
  /** Publishes, and returns the id. */
  publish(topic: string | string[], data: string, own?: string): string;
  /** Every stream hears that nothing is new. */
  heartbeat(): void;
  readonly streams: Exchange[];
  /** Most streams that were open at once. */
  readonly most: number;
  readonly connects: number;
  /** Answers streams with this status from now on; 200 goes on as before. */
  refuse(status: number): void;
  cut(): void;
  /** Streams of exactly this topic, open and to come, are sent nothing more until `release`. */
  hold(topic: string): void;
  release(): void;
}

export function smallNode(server: TestServer): SmallNode {
  const history: Kept[] = [];
  const streams = new Map<Exchange, Set<string>>();
  let count = 0;
  let most = 0;
  let connects = 0;
  let status = 200;

  let held: string | undefined;
  const unsent: (() => void)[] = [];

  const alive = (): Exchange[] => [...streams.keys()].filter(({ gone }) => !gone);

  function write(exchange: Exchange, topics: Set<string>, event: Kept): void {
    const topic = event.topics.filter((each) => topics.has(each));
    if (!topic.length) return;
    const send = (): unknown => exchange.gone || exchange.event(event.id, event.data, { topic });
    if (held !== undefined && topics.size === 1 && topics.has(held)) unsent.push(send);
    else send();
  }

  server.each((exchange) => {
    if (exchange.url.pathname !== '/events') return exchange.answer(200, { id: 'x', subscribers: 1 });
    connects++;
    if (status !== 200) return exchange.answer(status);
    const topics = new Set(exchange.url.searchParams.getAll('topic'));
    const cursor = exchange.headers['last-event-id'];
    // A publisher's own id is known under the topics of the event alone.
    const place =
      cursor === undefined
        ? count
        : (history.find((event) => event.id === cursor && event.topics.some((topic) => topics.has(topic)))?.number ??
          /-(\d+)\.k3mq7z$/.exec(String(cursor))?.[1]);
    streams.set(exchange, topics);
    most = Math.max(most, alive().length);
    exchange.prime(id(Number(place ?? 0)));
    if (place === undefined && cursor !== 'earliest') {
      exchange.event(id(0), JSON.stringify({ from: cursor, to: id(0), reason: 'unknown' }), { event: 'gap' });
    }
    for (const event of history) if (event.number > Number(place ?? 0)) write(exchange, topics, event);
  });

  return {
    publish(topic, data, own) {
      count++;
      const event = { number: count, id: own ?? id(count), topics: [topic].flat(), data };
      history.push(event);
      for (const exchange of alive()) write(exchange, streams.get(exchange) as Set<string>, event);
      return event.id;
    },
    heartbeat() {
      count++;
      for (const exchange of alive()) exchange.send(`id: ${id(count)}\n\n`);
    },
    get streams() {
      return alive();
    },
    get most() {
      return most;
    },
    get connects() {
      return connects;
    },
    refuse(other) {
      status = other;
    },
    hold(topic) {
      held = topic;
    },
    release() {
      held = undefined;
      for (const send of unsent.splice(0)) send();
    },
    cut() {
      for (const exchange of alive()) exchange.cut();
    },
  };
}
