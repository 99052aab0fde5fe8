import { describe, expect, it, vi } from 'vitest';
import { createClient, debug, json, text, type LogLine } from '../src/index.ts';
import { until } from './support/server.ts';
import { atEnd, client, id, server, states } from './support/setup.ts';

describe('subscribe', () => {
  it('hands each event to the handler of its name, with its id, topic and time', async () => {
    const node = await server();
    const made = client({ url: node.url, events: { created: json<{ n: number }>(), message: text } });
    const seen: unknown[] = [];
    made.subscribe('a', {
      message: (data, event) => void seen.push([data, event]),
      created: ({ n }, { name }) => void seen.push([n + 1, name]),
    });
    (await node.exchange(0)).prime(id(0)).event(id(1), 'x', { topic: 'a' }).event(id(2), '{"n":1}', { event: 'created' });
    await until(() => seen.length === 2);
    expect(seen).toEqual([
      ['x', { name: 'message', data: 'x', id: id(1), topic: 'a', at: 1_760_422_800_000 }],
      [2, 'created'],
    ]);
  });

  it('reads the handlers at each event, so that they may be replaced', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    const handlers = { message: (data: string): void => void seen.push(`one ${data}`) };
    made.subscribe('a', handlers);
    const stream = (await node.exchange(0)).prime(id(0)).event(id(1), '1');
    await until(() => seen.length === 1);
    handlers.message = (data) => void seen.push(`two ${data}`);
    stream.event(id(2), '2');
    await until(() => seen.length === 2);
    expect(seen).toEqual(['one 1', 'two 2']);
  });

  it('takes the methods of a class, and calls each as a method', async () => {
    class Page {
      seen: string[] = [];
      message(data: string): void {
        this.seen.push(data);
      }
    }
    const node = await server();
    const page = new Page();
    client({ url: node.url }).subscribe('a', page);
    (await node.exchange(0)).prime(id(0)).event(id(1), 'x', { event: 'constructor' }).event(id(2), 'y');
    await until(() => page.seen.length);
    expect(page.seen).toEqual(['y']);
  });

  it('is refused by a `fetch` without streams, which is named', async () => {
    const headers = new Headers({ 'content-type': 'text/event-stream' });
    const fetch = (async () => ({ status: 200, headers })) as unknown as typeof globalThis.fetch;
    const made = client({ url: 'http://127.0.0.1:1/', fetch });
    made.subscribe('a', { error() {} });
    await until(() => made.status.state === 'closed');
    expect(made.status).toMatchObject({ why: { code: 'protocol', message: expect.stringContaining('give another one as `fetch`') } });
  });

  it('calls no method that an object has by itself', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data) });
    const stream = (await node.exchange(0)).prime(id(0));
    for (const event of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) stream.event(id(1), 'x', { event });
    stream.event(id(2), 'y');
    await until(() => seen.length);
    expect(seen).toEqual(['y']);
  });

  it('that another handler closes hears nothing more of the same event', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    made.subscribe('a', {
      message(data) {
        seen.push(`one ${data}`);
        other.close();
      },
    });
    const other = made.subscribe('a', { message: (data) => void seen.push(`two ${data}`) });
    (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), '2');
    await until(() => seen.length === 2);
    expect(seen).toEqual(['one 1', 'one 2']);
  });

  it('goes on when a handler throws, and reports it', async () => {
    const reported = vi.fn();
    vi.stubGlobal('reportError', reported);
    atEnd(() => vi.unstubAllGlobals());
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    const thrown = new Error('mine');
    made.subscribe('a', {
      message() {
        throw thrown;
      },
      gap() {
        throw thrown;
      },
    });
    made.subscribe('a', { message: (data) => void seen.push(data) });
    made.onStatus(() => {
      throw thrown;
    });
    const gap = JSON.stringify({ from: '', to: '', reason: 'lagged' });
    (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), gap, { event: 'gap' }).event(id(3), '3');
    await until(() => seen.length === 2);
    expect(reported.mock.calls.filter(([error]) => error === thrown).length).toBeGreaterThanOrEqual(4);
    expect(node.exchanges).toHaveLength(1);
  });

  it('tells a decode failure as the error of that event alone', async () => {
    const node = await server();
    const made = client({ url: node.url, events: { message: json<number>() } });
    const seen: unknown[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data), error: (error) => void seen.push([error.code, error.message]) });
    (await node.exchange(0)).prime(id(0)).event(id(1), '{').event(id(2), '2');
    await until(() => seen.length === 2);
    expect(seen[0]).toMatchObject(['decode', expect.stringContaining('the data of `message` could not be decoded: SyntaxError')]);
    expect(seen[1]).toBe(2);
  });

  it('takes a Standard Schema, and refuses one that answers later', async () => {
    const schema = (validate: (value: unknown) => unknown) => ({ '~standard': { version: 1, vendor: 'test', validate } }) as const;
    const node = await server();
    const made = client({
      url: node.url,
      events: {
        good: schema((value) => ({ value: [value] })),
        bad: schema(() => ({ issues: [{ message: 'too small' }, { message: 'too red' }] })),
        later: schema(() => Promise.reject(new Error('x'))),
      },
    });
    const seen: unknown[] = [];
    made.subscribe('a', { good: (data) => void seen.push(data), error: ({ message }) => void seen.push(message) });
    const stream = (await node.exchange(0)).prime(id(0));
    for (const event of ['good', 'bad', 'later']) stream.event(id(1), '1', { event });
    await until(() => seen.length === 3);
    expect(seen).toEqual([
      [1],
      'the data of `bad` could not be decoded: too small; too red',
      'the data of `later` could not be decoded: the schema answers later, and events stay in order',
    ]);
  });

  it('takes an ordinary event that is called gap as such', async () => {
    const node = await server();
    const made = client({ url: node.url, server: 'plain' });
    const gap = vi.fn();
    const seen: unknown[] = [];
    made.subscribe([], { gap });
    void (async () => {
      for await (const event of made.events([])) seen.push(event);
    })();
    (await node.exchange(0)).head().event('1', 'mind the gap', { event: 'gap' });
    await until(() => seen.length);
    expect(seen[0]).toMatchObject({ name: 'gap', data: 'mind the gap' });
    expect(gap).not.toHaveBeenCalled();
  });

  it('ends with its signal, and with `using`', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const abort = new AbortController();
    const subscription = made.subscribe('a', {}, { signal: abort.signal });
    const other = made.subscribe('b', {});
    (await node.exchange(0)).prime(id(0));
    abort.abort();
    other[Symbol.dispose]();
    expect([subscription.status.state, other.status.state]).toEqual(['closed', 'closed']);
    await until(() => made.status.state === 'idle');
    await until(() => node.open().length === 0);
  });

  it('asks for `earliest`, or goes on from an id', async () => {
    const node = await server();
    client({ url: node.url, from: 'earliest' }).subscribe('a', {});
    expect((await node.exchange(0)).headers['last-event-id']).toBe('earliest');
    client({ url: node.url, from: 'earliest' }).subscribe('a', {}, { from: 'now' });
    expect((await node.exchange(1)).headers['last-event-id']).toBeUndefined();
  });

  it('works against any SSE server, with the address as it is', async () => {
    const other = await server();
    const made = client({ url: `${other.url}stream?room=7`, headers: { 'x-key': '1' } });
    const seen: string[] = [];
    made.subscribe([], { message: (data, { topic }) => void seen.push(data + topic) });
    const stream = await other.exchange(0);
    expect([stream.url.pathname, stream.url.search, stream.headers['x-key'], stream.headers.accept]).toEqual([
      '/stream',
      '?room=7',
      '1',
      'text/event-stream',
    ]);
    stream.head();
    // There is no prime: the answer itself is the first word.
    await until(() => made.status.state === 'open');
    stream.send('\ufeffdata: hello\r\n\r\n');
    await until(() => seen.length);
    expect(seen).toEqual(['hello']);
  });

  it('tells a gap where a Mercure hub does not know the cursor', async () => {
    const hub = await server();
    const made = client({ url: `${hub.url}.well-known/mercure` });
    const seen: unknown[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data), gap: (gap) => void seen.push(gap) });
    const answer = async (index: number, since: string) => (await hub.exchange(index)).head(200, { 'last-event-id': since });
    // The first request has no cursor, and the second one's is known.
    (await answer(0, 'urn:8')).event('urn:1', '1').end();
    (await answer(1, 'urn:1')).event('urn:2', '2').end();
    const third = (await answer(2, 'urn:8')).send(':\n');
    // Before the first event: there may be none for long.
    await until(() => seen.length === 3);
    third.event('urn:9', '9').end();
    (await answer(3, 'earliest')).event('urn:10', '10').end();
    await until(() => seen.includes('10'));
    const gap = (from: string, to: string) => ({ from, to, reason: 'unknown' });
    expect(seen).toEqual(['1', '2', gap('urn:2', 'urn:8'), '9', gap('urn:9', ''), '10']);
    // A node tells by itself which events are missing.
    const own = { from: 'urn:10', to: id(5), reason: 'evicted' };
    const last = (await answer(4, 'earliest')).send(': heartbeat 15000\nid: 0-0.k3mq7z\n\n');
    last.event(id(5), JSON.stringify(own), { event: 'gap' }).event(id(6), '11');
    await until(() => seen.includes('11'));
    expect(seen.slice(6)).toEqual([own, '11']);
  });

  it('tells no gap where a Mercure hub begins with the first event that it has', async () => {
    const hub = await server();
    const made = client({ url: `${hub.url}.well-known/mercure`, from: 'earliest' });
    const seen: unknown[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data), gap: (gap) => void seen.push(gap) });
    (await hub.exchange(0)).head(200, { 'last-event-id': 'urn:4' }).event('urn:5', '5');
    await until(() => seen.length);
    expect(seen).toEqual(['5']);
  });

  it('works with a Mercure hub: a stream for each set of topics, since a hub does not tell them', async () => {
    const hub = await server();
    const made = client({ url: `${hub.url}.well-known/mercure`, token: () => 'T' });
    const seen: string[] = [];
    made.subscribe(['https://example.com/books/{id}', 'b'], { message: (data) => void seen.push(`one ${data}`) });
    made.subscribe(['b', 'https://example.com/books/{id}'], { message: (data) => void seen.push(`same ${data}`) });
    made.subscribe('c', { message: (data, { topic }) => void seen.push(`two ${data} of ${topic}`) });
    const [first, second] = [await hub.exchange(0), await hub.exchange(1)];
    expect([first.url.pathname, first.url.searchParams.getAll('topic'), first.url.searchParams.get('with')]).toEqual([
      '/.well-known/mercure',
      ['https://example.com/books/{id}', 'b'],
      null,
    ]);
    first.head().event('urn:uuid:1', '1');
    second.head().event('urn:uuid:2', '2');
    await until(() => seen.length === 3);
    expect(seen.sort()).toEqual(['one 1', 'same 1', 'two 2 of c']);
    first.end();
    expect((await hub.exchange(2)).headers['last-event-id']).toBe('urn:uuid:1');
  });
});

describe('status', () => {
  it('is idle before and after, and tells each change once', async () => {
    const node = await server();
    const made = client({ url: node.url });
    expect(made.status).toEqual({ state: 'idle' });
    const seen = states(made);
    const subscription = made.subscribe('a', {});
    expect(made.status).toEqual({ state: 'connecting', attempt: 1 });
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    expect(made.status).toMatchObject({ role: 'own', since: expect.any(Number) });
    subscription.close();
    await until(() => made.status.state === 'idle');
    expect(seen.map(({ state }) => state)).toEqual(['connecting', 'open', 'idle']);
  });

  it('is told to each listener in order, also when one of them changes it', async () => {
    const made = client({ url: 'http://127.0.0.1:1/' });
    made.onStatus(({ state }) => state === 'connecting' && made.close());
    const seen = states(made);
    made.subscribe('a', {});
    await until(() => made.status.state === 'closed');
    expect(seen).toEqual([{ state: 'closed', why: 'closed' }]);
  });

  it('is told to a function as often as it listens', () => {
    const made = client({ url: 'http://127.0.0.1:1/' });
    const listener = vi.fn();
    const end = made.onStatus(listener);
    made.onStatus(listener);
    end();
    end();
    made.subscribe('a', {});
    expect(listener).toHaveBeenCalledOnce();
  });

  it('is not told to a listener that another one has ended', () => {
    const made = client({ url: 'http://127.0.0.1:1/' });
    const listener = vi.fn();
    made.onStatus(() => end());
    const end = made.onStatus(listener);
    made.subscribe('a', {});
    expect(made.status.state).toBe('connecting');
    expect(listener).not.toHaveBeenCalled();
  });

  it('of a subscription that another one closed while both were told stays so', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const store = made.live({ topics: 'a', load: async () => other.close(), apply: (state) => state });
    store.subscribe(() => {});
    const other = made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0));
    await until(() => !store.getSnapshot().stale);
    expect(other.status).toEqual({ state: 'closed', why: 'closed' });
  });

  it('that is a refusal is no error of a subscription that was closed at once', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const subscription = made.subscribe('a', { error() {} });
    (await node.exchange(0)).answer(403);
    await until(() => subscription.status.state === 'closed');
    const error = vi.fn();
    made.subscribe('a', { error }).close();
    await new Promise<void>((resolve) => made.subscribe('a', { error: () => resolve() }));
    expect(error).not.toHaveBeenCalled();
  });

  it('listeners end when they are told to', async () => {
    const node = await server();
    const made = client({ url: node.url });
    expect(made.status).toBe(made.status);
    const listener = vi.fn();
    made.onStatus(listener)();
    made.subscribe('a', {});
    expect(made.status).toBe(made.status);
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    expect(made.status).toBe(made.status);
    expect(listener).not.toHaveBeenCalled();
  });
});

describe('the log', () => {
  it('shows every event, gap and reconnect', async () => {
    const node = await server();
    const lines: LogLine[] = [];
    const made = client({ url: node.url, log: (line) => void lines.push(line) });
    made.subscribe('a', {});
    const gap = JSON.stringify({ from: id(0), to: id(2), reason: 'evicted' });
    (await node.exchange(0)).prime(id(0)).event(id(1), 'x').event(id(2), gap, { event: 'gap' }).end();
    (await node.exchange(1)).prime(id(2));
    await until(() => lines.filter(({ kind }) => kind === 'open').length === 2);
    made.close();
    expect(lines.map(({ kind }) => kind)).toEqual([
      ...['connect', 'open', 'id', 'event', 'gap', 'end', 'wait'],
      ...['connect', 'open'],
      ...(lines.some((line, index) => index > 8 && line.kind === 'id') ? ['id'] : []),
      'closed',
    ]);
    expect(lines.every(({ at, stream }) => at > 0 && stream === 1)).toBe(true);
  });

  it('is printed by `debug`, until it is stopped, and shows the streams', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    vi.spyOn(console, 'table').mockImplementation(() => {});
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('a', {});
    const stream = (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    const { inspection, stop } = debug(made);
    expect(inspection).toMatchObject({
      url: node.url,
      server: 'fantail',
      status: { state: 'open' },
      streams: [{ stream: 1, topics: ['a'], cursor: id(0) }],
      subscriptions: [{ topics: ['a'], status: { state: 'open' } }],
    });
    const before = log.mock.calls.length;
    stream.event(id(1), 'x');
    await until(() => log.mock.calls.length > before);
    expect(log.mock.lastCall?.[0]).toMatch(/^fantail \d\d:\d\d:\d\d\.\d{3} \[1\] event$/);
    stop();
    stream.event(id(2), 'x');
    await until(() => made.cursor === id(2));
    expect(log.mock.calls.length).toBe(before + 1);
  });
});

describe('an option', () => {
  it.each([
    [{ url: 'nonsense' }, '`url` is nonsense; it must be an http or https address, or relative to the page'],
    [{ url: 'ftp://x/' }, '`url` is ftp://x/; it must be'],
    [{ url: 'http://user:pass@127.0.0.1/' }, 'it must be an http or https address, or relative to the page, without a password'],
    [{ headers: { 'a b': 'c' } }, 'a b'],
    [{ token: 'one\ntwo' }, '`token` is no ASCII; it must be a text or a function'],
    [{ urk: 1 }, '`urk` is no option; there are url, server, token'],
    [{ idle: 10 }, '`idle` is 10; it must be a whole number from 1000 to 86400000'],
    [{ linger: 1.5 }, '`linger` is 1.5; it must be a whole number from 0 to 3600000'],
    [{ retry: { base: 0 } }, '`retry.base` is 0; it must be a whole number from 1 to 3600000'],
    [{ retry: { base: 10, max: 5 } }, '`retry.max` is 5; it must be a whole number from 10 to 86400000'],
    [{ retry: { attempts: 0 } }, '`retry.attempts` is 0; it must be a whole number from 1 to Infinity'],
    [{ hidden: 'maybe' }, '`hidden` is maybe; it must be keep or pause'],
    [{ server: 'nats' }, '`server` is nats; it must be fantail or mercure or plain'],
    [{ topicsPerStream: 1_001 }, '`topicsPerStream` is 1001; it must be a whole number from 1 to 1000'],
    [{ from: '' }, '`from` is ""; it must be "now", "earliest" or the id of an event'],
    [{ from: 'a\nb' }, '`from` is "a\\nb"'],
    [{ token: 7 }, '`token` is 7; it must be a text or a function'],
    [{ transport: 'xhr' }, '`transport` is xhr; it must be fetch or eventsource'],
    [{ transport: 'eventsource', headers: {} }, '`transport` is eventsource; it must be fetch'],
    [{ transport: 'eventsource', url: 'http://127.0.0.1/stream' }, '`transport` is eventsource; it must be fetch'],
  ])('that is wrong is named, with what it may be: %j', (options, message) => {
    expect(() => createClient({ url: 'http://127.0.0.1/', ...options } as never)).toThrow(message);
  });

  it('of a topic, queue or cursor that is wrong is named, too', () => {
    const made = client({ url: 'http://127.0.0.1:1/' });
    expect(() => made.subscribe('', {})).toThrow('`topics` is ""; it must be a text or a list of texts, none of them empty');
    expect(() => made.subscribe('a', {}, { from: '' })).toThrow('`from` is ""');
    expect(() => made.events('a', { queue: 0 })).toThrow('`queue` is 0; it must be a whole number from 1 to 1000000');
    expect(() => made.live({ topics: 'a', load: async () => 1, apply: (state) => state, queue: -1 })).toThrow('`queue` is -1');
  });

  it('`url` is relative to the page, and shows what the server is', async () => {
    vi.stubGlobal('location', { href: 'https://app.example/shop/' });
    atEnd(() => vi.unstubAllGlobals());
    const urls: string[] = [];
    const fetch = ((url: string) => (urls.push(url), new Promise<never>(() => {}))) as typeof globalThis.fetch;
    client({ url: '/hub/', fetch }).subscribe('a b', {});
    client({ url: '/stream', fetch }).subscribe([], {});
    client({ url: '/hub', server: 'fantail', fetch }).subscribe('a', {});
    await until(() => urls.length === 3);
    expect(urls).toEqual([
      'https://app.example/hub/events?topic=a+b&with=topic',
      'https://app.example/stream',
      'https://app.example/hub/events?topic=a&with=topic',
    ]);
  });

  it('`url` that is relative makes a client where there is no page, which can only not be used there', async () => {
    const made = client({ url: '/hub/' });
    const wrong = '`url` is /hub/; it must be an http or https address where there is no page';
    expect(() => made.subscribe('a', {})).toThrow(wrong);
    await expect(made.publish('a', 'x')).rejects.toThrow(wrong);
    const store = made.live({ topics: 'a', load: async () => 1, apply: (state) => state });
    expect(store.getSnapshot().status).toEqual({ state: 'idle' });
  });

  it('makes no request and no timer before the first subscription', () => {
    vi.useFakeTimers();
    const fetch = vi.fn();
    createClient({ url: 'http://127.0.0.1:1/', fetch, token: fetch });
    expect(vi.getTimerCount()).toBe(0);
    expect(fetch).not.toHaveBeenCalled();
    vi.useRealTimers();
  });
});
