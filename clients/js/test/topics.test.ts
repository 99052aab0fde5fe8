import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { matches } from '../src/address.ts';
import { INSPECT, type Inspectable, type Inspection } from '../src/client.ts';
import { keyOf } from '../src/ids.ts';
import { createOverlap, OVERLAP_EVENTS_MAX, type Known, type Overlap } from '../src/overlap.ts';
import type { Event, Gap } from '../src/index.ts';
import { createFakeNode } from '../src/testing/index.ts';
import { until } from './support/server.ts';
import { client, id, server } from './support/setup.ts';

const inspect = (made: object): Inspection => (made as Inspectable)[INSPECT]().inspection;

const topicsOf = ({ url }: { url: URL }): string[] => url.searchParams.getAll('topic');

describe('topics', () => {
  it('of all subscriptions are joined into one stream, and told apart by the field `topic`', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    const hear = (name: string) => ({ message: (data: string, { topic }: Event) => void seen.push(`${name} ${topic} ${data}`) });
    made.subscribe('a', hear('one'));
    made.subscribe(['a', 'b'], hear('two'));
    made.subscribe('news/**', hear('three'));
    const stream = await node.exchange(0);
    expect(stream.url.pathname).toBe('/events');
    expect(stream.url.searchParams.get('with')).toBe('topic');
    expect(topicsOf(stream)).toEqual(['a', 'b', 'news/**']);
    stream.prime(id(0)).event(id(1), '1', { topic: 'a' }).event(id(2), '2', { topic: 'b' });
    stream.event(id(3), '3', { topic: 'news/x/y' }).event(id(4), '4', { topic: ['b', 'news/z'] });
    await until(() => seen.length === 6);
    expect(seen).toEqual(['one a 1', 'two a 1', 'two b 2', 'three news/x/y 3', 'two b 4', 'three news/z 4']);
    expect(node.exchanges).toHaveLength(1);
  });

  it('that change within 50 ms are one change', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    for (const topic of ['b', 'c', 'd']) made.subscribe(topic, {});
    const second = await node.exchange(1);
    expect(topicsOf(second)).toEqual(['a', 'b', 'c', 'd']);
    second.prime(id(0));
    await until(() => node.open().length === 1);
    expect(node.exchanges).toHaveLength(2);
  });

  it('that go on changing are not put off for ever', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    let count = 0;
    const timer = setInterval(() => made.subscribe(`t${++count}`, {}), 20);
    try {
      await until(() => node.exchanges.length > 1, 'a change takes effect', 2_000);
    } finally {
      clearInterval(timer);
    }
  });

  it('that change open the new stream with the cursor before the old one is closed', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    const message = (data: string): void => void seen.push(data);
    made.subscribe('a', { message });
    const first = (await node.exchange(0)).prime(id(0)).event(id(1), 'a1', { topic: 'a' });
    await until(() => seen.length === 1);
    const added = made.subscribe('b', { message });
    const second = await node.exchange(1);
    expect(second.headers['last-event-id']).toBe(id(1));
    // The old one goes on until the new one speaks.
    first.event(id(2), 'a2', { topic: 'a' });
    await until(() => seen.length === 2);
    expect(first.gone).toBe(false);
    expect(made.status.state).toBe('open');
    expect(added.status.state).toBe('connecting');
    second.prime(id(1)).event(id(2), 'a2', { topic: 'a' }).event(id(3), 'b3', { topic: 'b' }).event(id(4), 'a4', { topic: 'a' });
    await until(() => first.gone);
    await until(() => seen.length === 4);
    expect(seen).toEqual(['a1', 'a2', 'b3', 'a4']);
    expect(added.status.state).toBe('open');
    expect(made.cursor).toBe(id(4));
  });

  it('that are replaced tell an event of an old and a new topic to the new subscription alone', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    made.subscribe('a', { message: (data) => void seen.push(`old ${data}`) });
    const first = (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    made.subscribe('b', { message: (data) => void seen.push(`new ${data}`) });
    const second = await node.exchange(1);
    first.event(id(1), 'both', { topic: 'a' });
    await until(() => seen.length === 1);
    second.prime(id(0)).event(id(1), 'both', { topic: ['a', 'b'] });
    await until(() => seen.length === 2);
    expect(seen).toEqual(['old both', 'new both']);
  });

  it('go on in the old stream when the new one fails, and try again', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data) });
    const first = (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    made.subscribe('b', {});
    (await node.exchange(1)).answer(502);
    const third = await node.exchange(2);
    first.event(id(1), '1', { topic: 'a' });
    await until(() => seen.length === 1);
    expect(made.status.state).toBe('open');
    third.prime(id(0));
    await until(() => first.gone);
  });

  it('in several streams bring an event of several of them once, and an id that is used again twice', async () => {
    const node = await server();
    const made = client({ url: node.url, topicsPerStream: 1 });
    const [both, all, second]: string[][] = [[], [], []];
    made.subscribe(['a', 'b'], { message: (data) => void both!.push(data) });
    made.subscribe('*', { message: (data) => void all!.push(data) });
    made.subscribe('b', { message: (data) => void second!.push(data) });
    const streams = [await node.exchange(0), await node.exchange(1), await node.exchange(2)];
    for (const stream of streams) stream.prime(id(0));
    await until(() => made.status.state === 'open');
    const [a, b, pattern] = ['a', 'b', '*'].map((topic) => streams.find((stream) => topicsOf(stream)[0] === topic)!);
    const send = async (name: string, text: string): Promise<void> => {
      a!.event(name, text, { topic: 'a' });
      await until(() => both!.at(-1) === text);
      b!.event(name, text, { topic: 'b' });
      pattern!.event(name, text, { topic: 'a' });
    };
    await send(id(1), '1');
    await until(() => second!.length === 1 && all!.length === 1);
    await send('order-1', '2');
    await until(() => second!.length === 2 && all!.length === 2);
    // Another event of the same id, and the same event again.
    b!.event('order-1', '3', { topic: 'b' });
    await until(() => second!.length === 3);
    a!.event('order-1', '2', { topic: 'a' });
    await until(() => both!.length === 4);
    expect([both, second, all]).toEqual([['1', '2', '3', '2'], ['1', '2', '3'], ['1', '2', '3', '2']]);
  });

  it('that need another stream begin where the others are, not at the first cursor', async () => {
    const node = await server();
    const made = client({ url: node.url, topicsPerStream: 1, from: 'earliest' });
    made.subscribe('a', {});
    const first = await node.exchange(0);
    expect(first.headers['last-event-id']).toBe('earliest');
    first.prime(id(0)).event(id(7), 'x', { topic: 'a' }).event('order-8', 'x', { topic: 'a' });
    await until(() => made.cursor === 'order-8');
    made.subscribe('b', {});
    // A publisher's own id is known under its topic alone.
    expect((await node.exchange(1)).headers['last-event-id']).toBe(id(7));
  });

  it('that are fewer begin at an id that the request knows, and repeat nothing', async () => {
    const node = await server();
    const made = client({ url: node.url, linger: 0 });
    const seen: string[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data) });
    const other = made.subscribe('b', {});
    const first = await node.exchange(0);
    first.prime(id(0)).event(id(1), '1', { topic: 'a' }).event('order-2', '2', { topic: 'a' }).event('order-3', '3', { topic: 'b' });
    await until(() => made.cursor === 'order-3');
    other.close();
    // The id of a publisher is known under its topic alone, and that is `b`.
    const second = await node.exchange(1);
    expect([topicsOf(second), second.headers['last-event-id']]).toEqual([['a'], id(1)]);
    second.prime(id(1)).event('order-2', '2', { topic: 'a' }).event('order-4', '4', { topic: 'a' });
    await until(() => seen.includes('4'));
    second.cut();
    const third = await node.exchange(2);
    expect(third.headers['last-event-id']).toBe('order-4');
    expect(seen).toEqual(['1', '2', '4']);
  });

  it('beyond the limit of a stream go into several streams', async () => {
    const node = await server();
    const made = client({ url: node.url, topicsPerStream: 2 });
    const seen: string[] = [];
    made.subscribe(['a', 'b', 'c', 'd', 'e'], { message: (data) => void seen.push(data) });
    await node.exchange(2);
    expect(node.exchanges.map(topicsOf)).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    node.each((exchange, index) => exchange.prime(id(index)).event(id(index + 10), String(index), { topic: topicsOf(exchange)[0] as string }));
    await until(() => seen.length === 3);
    expect(seen.sort()).toEqual(['0', '1', '2']);
  });

  it('of one event come once, though several streams bring it', async () => {
    const node = await server();
    const made = client({ url: node.url, topicsPerStream: 1 });
    const seen: string[] = [];
    const hear = (name: string) => ({ message: (data: string) => void seen.push(`${name} ${data}`) });
    made.subscribe(['a', 'b'], hear('both'));
    made.subscribe('a', hear('a'));
    made.subscribe('b', hear('b'));
    const [one, two] = [await node.exchange(0), await node.exchange(1)];
    one.prime(id(0)).event(id(1), '1', { topic: 'a' });
    await until(() => seen.length === 2);
    two.prime(id(0)).event(id(1), '1', { topic: 'b' }).event('mine', '2', { topic: 'b' });
    await until(() => seen.length === 5);
    // A publisher's own id may be another event's, too.
    one.event('mine', '3', { topic: 'a' });
    await until(() => seen.length === 7);
    expect(seen).toEqual(['both 1', 'a 1', 'b 1', 'both 2', 'b 2', 'both 3', 'a 3']);
  });

  it('beyond the limit of a stream begin before what only its publisher can place, and repeat none of it', async () => {
    const node = await server();
    const made = client({ url: node.url, topicsPerStream: 1 });
    const seen: string[] = [];
    const subscription = made.subscribe('a', { message: (data) => void seen.push(data) });
    const one = await node.exchange(0);
    one.prime(id(0)).event(id(1), '1', { topic: 'a' }).event('order-2', '2', { topic: 'a' });
    await until(() => seen.length === 2);
    subscription.add('b');
    const two = await node.exchange(1);
    expect(two.headers['last-event-id']).toBe(id(1));
    two.prime(id(1)).event('order-2', '2', { topic: 'b' }).event(id(3), '3', { topic: 'b' });
    await until(() => seen.includes('3'));
    expect(seen).toEqual(['1', '2', '3']);
  });

  it('are spread so that an address stays short, and its patterns few', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe(Array.from({ length: 3 }, (_, index) => `${index}${'x'.repeat(3_000)}`), {});
    made.subscribe(Array.from({ length: 21 }, (_, index) => `p${index}/**`), {});
    await node.exchange(1);
    expect(node.exchanges.map((exchange) => topicsOf(exchange).length)).toEqual([2 + 20, 1 + 1]);
  });

  it('with a template, or none at all, have streams of their own: only the node can tell what they match', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    made.subscribe('a', {});
    made.subscribe('books/{id}', { message: (data, { topic }) => void seen.push(`${topic} ${data}`) });
    made.subscribe([], {});
    await node.exchange(2);
    expect(node.exchanges.map(topicsOf).sort()).toEqual([[], ['a'], ['books/{id}']]);
    const template = node.exchanges.find((exchange) => topicsOf(exchange)[0] === 'books/{id}');
    template?.prime(id(0)).event(id(1), 'x', { topic: 'books/1' });
    await until(() => seen.length);
    expect(seen).toEqual(['books/1 x']);
  });

  it('with a first cursor of their own have a stream of their own', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('a', {});
    made.subscribe('a', {}, { from: 'earliest' });
    await node.exchange(1);
    expect(node.exchanges.map(({ headers }) => headers['last-event-id']).sort()).toEqual(['earliest', undefined]);
  });

  it('are added to a subscription and removed from it', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const subscription = made.subscribe('a', {});
    (await node.exchange(0)).prime(id(7));
    await until(() => made.status.state === 'open');
    subscription.add('b');
    const second = (await node.exchange(1)).prime(id(7));
    expect(topicsOf(second)).toEqual(['a', 'b']);
    expect(second.headers['last-event-id']).toBe(id(7));
    subscription.remove('a');
    expect(topicsOf(await node.exchange(2))).toEqual(['b']);
    subscription.remove('b');
    expect(subscription.status.state).toBe('idle');
    await until(() => node.open().length === 0);
    expect(node.exchanges).toHaveLength(3);
  });

  it('that are added twice, or removed without being there, change nothing', async () => {
    const hub = await server();
    const made = client({ url: `${hub.url}.well-known/mercure` });
    const subscription = made.subscribe('a', {});
    (await hub.exchange(0)).head();
    await until(() => subscription.status.state === 'open');
    subscription.add('a');
    subscription.remove('b');
    expect(subscription.status.state).toBe('open');
    subscription.add('b');
    expect(topicsOf(await hub.exchange(1))).toEqual(['a', 'b']);
  });

  it('of a subscription that are all removed before others are added stay in the joined stream', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('kept', {});
    const subscription = made.subscribe('a', {});
    (await node.exchange(0)).prime(id(7));
    await until(() => subscription.status.state === 'open');
    subscription.remove('a');
    subscription.add('b');
    const second = (await node.exchange(1)).prime(id(7));
    await until(() => subscription.status.state === 'open' && node.open().length === 1);
    expect([topicsOf(second), second.headers['last-event-id']]).toEqual([['kept', 'b'], id(7)]);
    expect(node.exchanges).toHaveLength(2);
  });

  it('of a stream with a first cursor do not begin there again when all were removed for a while', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const subscription = made.subscribe('a', {}, { from: 'earliest' });
    (await node.exchange(0)).prime(id(0)).event(id(1), '1', { topic: 'a' });
    await until(() => made.cursor === id(1));
    subscription.remove('a');
    await until(() => made.status.state === 'idle');
    subscription.add('a');
    expect((await node.exchange(1)).headers['last-event-id']).toBe(id(1));
  });

  it('of a stream that stands alone change without a loss: another one goes on from its cursor', async () => {
    const hub = await server();
    const made = client({ url: `${hub.url}.well-known/mercure` });
    const seen: string[] = [];
    const subscription = made.subscribe('a', { message: (data) => void seen.push(data) });
    const first = (await hub.exchange(0)).head().event('urn:1', '1');
    await until(() => seen.length === 1);
    subscription.add('b');
    const second = await hub.exchange(1);
    expect(second.headers['last-event-id']).toBe('urn:1');
    second.head().event('urn:2', '2');
    await until(() => seen.length === 2);
    subscription.add('c');
    expect((await hub.exchange(2)).headers['last-event-id']).toBe('urn:2');
    await until(() => first.gone);
  });

  it('keep their stream for `linger` without listeners, and end it then', async () => {
    const node = await server();
    const made = client({ url: node.url, linger: 60 });
    const first = made.subscribe('a', {});
    const stream = (await node.exchange(0)).prime(id(3));
    await until(() => made.status.state === 'open');
    first.close();
    const second = made.subscribe('a', {});
    expect(made.status.state).toBe('open');
    second.close();
    await until(() => stream.gone);
    await until(() => made.status.state === 'idle');
    // Whoever subscribes later starts from now: old events are nobody's.
    made.subscribe('a', {});
    expect((await node.exchange(1)).headers['last-event-id']).toBeUndefined();
    expect(node.exchanges).toHaveLength(2);
  });

  describe('on a clock of the test', () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    it('keep their stream for `linger` after the last listener, however often it came and went', async () => {
      const node = createFakeNode();
      const made = client({ url: node.url, fetch: node.fetch, linger: 1_000 });
      const first = made.subscribe('a', {});
      await vi.advanceTimersByTimeAsync(10);
      first.close();
      await vi.advanceTimersByTimeAsync(600);
      const second = made.subscribe('a', {});
      await vi.advanceTimersByTimeAsync(300);
      second.close();
      await vi.advanceTimersByTimeAsync(950);
      expect([node.streams.length, node.requests.length]).toEqual([1, 1]);
      await vi.advanceTimersByTimeAsync(100);
      expect(node.streams).toHaveLength(0);
    });

    it('that end one after the other end with one stream, which was not replaced for the last of them', async () => {
      const node = createFakeNode();
      const made = client({ url: node.url, fetch: node.fetch, linger: 1_000 });
      const [a, b] = [made.subscribe('a', {}), made.subscribe('b', {})];
      await vi.advanceTimersByTimeAsync(10);
      b.close();
      await vi.advanceTimersByTimeAsync(1_000);
      a.close();
      await vi.advanceTimersByTimeAsync(1_100);
      expect([node.streams.length, node.requests.length]).toEqual([0, 1]);
    });

    it('that are no longer wanted leave a stream that others want', async () => {
      const node = createFakeNode();
      const made = client({ url: node.url, fetch: node.fetch, linger: 1_000 });
      made.subscribe('a', {});
      const b = made.subscribe('b', {});
      await vi.advanceTimersByTimeAsync(10);
      b.close();
      await vi.advanceTimersByTimeAsync(1_100);
      expect(node.requests.map(({ topics }) => topics)).toEqual([['a', 'b'], ['a']]);
      expect(node.streams).toHaveLength(1);
    });
  });

  it('of a subscription that is made and closed at once open nothing', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('a', {}).close();
    made.subscribe('b', {}, { signal: AbortSignal.abort() });
    await until(() => made.status.state === 'idle');
    made.subscribe('c', {});
    expect(topicsOf(await node.exchange(0))).toEqual(['c']);
    expect(node.exchanges).toHaveLength(1);
  });

  it('of a plain server must be empty: its address is the whole stream', async () => {
    const made = client({ url: 'http://127.0.0.1:1/stream' });
    expect(() => made.subscribe('a', {})).toThrow('`topics` must be [] for a plain SSE server: http://127.0.0.1:1/stream');
  });

  it('are matched as the node matches them', () => {
    const pairs: [string, string, boolean][] = [
      ['*', 'a/b', true],
      ['a/*/c', 'a/b/c', true],
      ['a/*/c', 'a//c', false],
      ['a/*/c', 'a/b/b/c', false],
      ['a/**', 'a/b', true],
      ['a/**', 'a/b/c', true],
      ['a/**', 'a', false],
      ['a/**', 'a/', false],
      ['a/**', 'ab/c', false],
      ['**', 'x', true],
      ['a*b', 'acb', false],
      ['a/**/c', 'a/b/c', false],
      ['a/**/c', 'a/**/c', true],
      ['*/**', 'a/b/c', true],
    ];
    for (const [selector, topic, expected] of pairs) expect([selector, topic, matches(selector, topic)]).toEqual([selector, topic, expected]);
  });
});

describe('an overlap', () => {
  const event = (name: string): { id: string; topics: string[] } => ({ id: name, topics: [] });

  it('survives another replacement before everything is repeated', () => {
    const overlap = createOverlap();
    overlap.sent();
    overlap.take(event('1'));
    overlap.take(event('2'));
    overlap.replaced();
    // The second request repeats 1 while a third one, sent with the same cursor, is on its way.
    overlap.sent();
    expect(overlap.take(event('1'))).toBe('all');
    overlap.replaced();
    expect(['1', '2', '3'].map((each) => overlap.take(event(each)))).toEqual(['all', 'all', []]);
  });

  const known = (...names: string[]): Known[] => names.map((name) => ({ key: keyOf(event(name)), topics: [] }));

  const isKnown = (overlap: Overlap, ...names: string[]): boolean[] => names.map((name) => overlap.take(event(name)) === 'all');

  it('counts events of one id', () => {
    const overlap = createOverlap();
    overlap.sent();
    overlap.take(event('x'));
    overlap.take(event('x'));
    overlap.replaced();
    expect(isKnown(overlap, 'x', 'x', 'x')).toEqual([true, true, false]);
  });

  it('forgets what is before the place of the stream, and no more', () => {
    const all = [id(1), 'a', id(3), 'b', id(6), 'c'];
    const left = (place: string): boolean[] => {
      const overlap = createOverlap();
      overlap.expect(known(...all));
      overlap.reached(place);
      return isKnown(overlap, ...all);
    };
    // The prime of a stream that begins before all of it.
    expect(left(id(0))).toEqual([true, true, true, true, true, true]);
    expect(left(id(4))).toEqual([false, false, false, true, true, true]);
    // Whether `c` is before 9 nobody says.
    expect(left(id(9))).toEqual([false, false, false, false, false, true]);
  });

  it('forgets all of it at a heartbeat from behind all ids that can be compared', () => {
    const left = (place: string): boolean[] => {
      const overlap = createOverlap();
      overlap.expect(known('a', id(3), 'b'));
      overlap.reached(place, true);
      return isKnown(overlap, 'a', id(3), 'b');
    };
    expect(left(id(4))).toEqual([false, false, false]);
    // The heartbeat was on its way longer than an event by another request.
    expect(left(id(2))).toEqual([true, true, true]);
  });

  it('takes a publisher\'s own id for behind what came before it, also when that came late', () => {
    const overlap = createOverlap();
    overlap.expect(known(id(5), 'a', id(2)));
    overlap.reached(id(3));
    expect(isKnown(overlap, id(5), 'a', id(2))).toEqual([true, true, false]);
  });

  it('tells another event with a publisher\'s own id from the one that is repeated', () => {
    const overlap = createOverlap();
    overlap.expect([{ key: keyOf({ id: 'x', data: 'one', topics: [] }), topics: [] }]);
    expect(overlap.take({ id: 'x', data: 'two', topics: [] })).toEqual([]);
    expect(overlap.take({ id: 'x', event: 'other', data: 'one', topics: [] })).toEqual([]);
    expect(overlap.take({ id: 'x', data: 'one', topics: [] })).toBe('all');
  });

  it('is forgotten with the request that was to take over', async () => {
    const overlap = createOverlap();
    overlap.sent();
    overlap.take(event('1'));
    expect(overlap.size()).toBe(1);
    overlap.cancelled();
    overlap.take(event('2'));
    expect(overlap.size()).toBe(0);

    const node = await server();
    const made = client({ url: node.url });
    const remembered = (): number | undefined => inspect(made).streams[0]?.remembered;
    made.subscribe('a', {});
    const first = (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    made.subscribe('b', {});
    const second = await node.exchange(1);
    first.event(id(1), 'x', { topic: 'a' });
    await until(() => made.cursor === id(1));
    expect(remembered()).toBe(1);
    // Its wait is long enough to see that nothing is remembered meanwhile.
    second.answer(503, {}, { 'retry-after': '60' });
    await until(() => remembered() === 0);
    first.event(id(2), 'x', { topic: 'a' });
    await until(() => made.cursor === id(2));
    expect(remembered()).toBe(0);
  });

  it('keeps a bounded number of events that nobody repeats', () => {
    const overlap = createOverlap();
    for (let round = 0; round < 3; round++) {
      overlap.sent();
      for (let number = 0; number < OVERLAP_EVENTS_MAX - 1; number++) overlap.take(event(`${round} ${number}`));
      overlap.replaced();
    }
    expect(overlap.size()).toBeLessThanOrEqual(OVERLAP_EVENTS_MAX);
  });

  it('that is full ends the old request: the new one repeats, and nothing is lost', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    const gap = vi.fn<(gap: Gap) => void>();
    made.subscribe('a', { message: (data) => void seen.push(data), gap });
    const first = (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    made.subscribe('b', {});
    const second = await node.exchange(1);
    const text = (from: number, to: number): string =>
      Array.from({ length: to - from }, (_, index) => `id: ${id(from + index)}\ntopic: a\ndata: ${from + index}\n\n`).join('');
    first.send(text(1, OVERLAP_EVENTS_MAX + 100));
    await until(() => first.gone);
    expect(made.status.state).toBe('connecting');
    second.prime(id(0)).send(text(1, OVERLAP_EVENTS_MAX + 200));
    await until(() => seen.length >= OVERLAP_EVENTS_MAX + 199);
    expect(seen).toEqual(Array.from({ length: OVERLAP_EVENTS_MAX + 199 }, (_, index) => String(index + 1)));
    expect(gap).not.toHaveBeenCalled();
  });
});
