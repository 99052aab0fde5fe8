import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoff } from '../src/backoff.ts';
import type { Config } from '../src/options.ts';
import type { Status } from '../src/index.ts';
import { until } from './support/server.ts';
import { client, id, server, states } from './support/setup.ts';

const config = { base: 1_000, max: 30_000 } as Config;

const waits = (seen: Status[]): Extract<Status, { state: 'waiting' }>[] => seen.filter((status) => status.state === 'waiting');

afterEach(() => {
  vi.useRealTimers();
});

describe('the wait before another attempt', () => {
  it('is random up to a bound that doubles, and never longer than `max`', () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
    expect([1, 2, 3, 6, 60, 5_000].map((failures) => backoff(config, failures))).toEqual([500, 1_000, 2_000, 15_000, 15_000, 15_000]);
    random.mockReturnValue(0);
    expect(backoff(config, 4)).toBe(0);
  });

  it('is never shorter than the server asks for, and never longer than a day of that', () => {
    expect(backoff(config, 1, 5_000)).toBe(5_000);
    expect(backoff(config, 1, 1e15)).toBe(86_400_000);
  });
});

describe('after a failure', () => {
  it('of the network, or a 502 of a proxy, the stream comes back with its cursor', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(1));
    await until(() => made.status.state === 'open');
    node.exchanges[0]?.cut();
    (await node.exchange(1)).answer(502, '<html>bad gateway</html>');
    (await node.exchange(2)).cut();
    const last = (await node.exchange(3)).prime(id(1));
    await until(() => made.status.state === 'open');
    expect(last.headers['last-event-id']).toBe(id(1));
    expect(waits(seen).map(({ attempt, why }) => [attempt, (why as { code: string }).code])).toEqual([
      [2, 'network'],
      [3, 'network'],
      [4, 'network'],
    ]);
    expect(seen.filter(({ state }) => state === 'connecting').map((status) => (status as { attempt: number }).attempt)).toEqual([1, 2, 3, 4]);
  });

  it.each([400, 403, 404, 405, 410, 413, 204])('that another attempt would not mend (%i) the stream is closed', async (status) => {
    const node = await server();
    const made = client({ url: node.url });
    const error = vi.fn();
    made.subscribe('a', { error });
    (await node.exchange(0)).answer(status);
    await until(() => error.mock.calls.length);
    expect(made.status).toMatchObject({ state: 'closed', why: { status, code: status === 403 ? 'forbidden' : 'refused' } });
    expect(node.exchanges).toHaveLength(1);
    // Whoever comes later is told, too.
    const late = vi.fn();
    made.subscribe('a', { error: late });
    await until(() => late.mock.calls.length);
    expect(node.exchanges).toHaveLength(1);
  });

  it('about its topics, other topics are tried', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const bad = made.subscribe(['a', 'bad'], {});
    (await node.exchange(0)).answer(400);
    await until(() => made.status.state === 'closed');
    bad.remove('bad');
    (await node.exchange(1)).prime(id(0));
    await until(() => made.status.state === 'open');
  });

  it.each([408, 425, 429, 500, 503])('that may pass (%i) it is tried again, not before Retry-After', async (status) => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('a', {});
    const start = Date.now();
    (await node.exchange(0)).answer(status, {}, { 'retry-after': '7' });
    const wait = await until(() => waits(seen)[0]);
    expect(wait.at - start).toBeGreaterThanOrEqual(7_000);
    expect((wait.why as { retryAfter: number }).retryAfter).toBe(7_000);
  });

  it('in a row too often for `attempts`, the stream is closed', async () => {
    const node = await server();
    const made = client({ url: node.url, retry: { base: 1, max: 1, attempts: 3 } });
    made.subscribe('a', {});
    node.each((exchange) => exchange.answer(500));
    await until(() => made.status.state === 'closed');
    expect(node.exchanges).toHaveLength(3);
  });

  it('a stream must be open for 10 s before earlier failures are forgotten', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const node = await server();
    const made = client({ url: node.url, retry: { base: 1, max: 1 } });
    const seen = states(made);
    made.subscribe('a', {});
    for (const [index, open] of [9_000, 9_000, 10_000].entries()) {
      await vi.advanceTimersByTimeAsync(2);
      const stream = (await node.exchange(index)).prime(id(0));
      await until(() => made.status.state === 'open');
      vi.setSystemTime(Date.now() + open);
      stream.end();
      await until(() => made.status.state === 'waiting');
    }
    expect(waits(seen).map(({ attempt }) => attempt)).toEqual([2, 3, 2]);
  });

  it('of a replacement, the next one of a stream that was open since is the first again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const node = await server();
    const made = client({ url: node.url, idle: 600_000, retry: { base: 1, max: 1, attempts: 3 } });
    const exchange = async (index: number) => {
      while (node.exchanges.length <= index) await vi.advanceTimersByTimeAsync(1);
      return node.exchanges[index];
    };
    const subscription = made.subscribe('a', {});
    (await exchange(0))?.prime(id(0));
    await until(() => subscription.status.state === 'open');
    for (let index = 1; index < 9; index += 2) {
      subscription.add(`b${index}`);
      (await exchange(index))?.answer(502);
      (await exchange(index + 1))?.prime(id(0));
      await until(() => subscription.status.state === 'open');
      vi.setSystemTime(Date.now() + 10_000);
    }
    // Without such a time they are failures in a row.
    subscription.add('c');
    for (let index = 9; index < 12; index++) (await exchange(index))?.answer(502);
    await until(() => made.status.state === 'closed');
    expect(node.exchanges).toHaveLength(12);
  });
});

describe('the word of the server', () => {
  it('in `retry:` is the floor of every wait until it says otherwise', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('a', {});
    const start = Date.now();
    (await node.exchange(0)).prime(id(0), 4_000);
    await until(() => made.status.state === 'open');
    node.exchanges[0]?.cut();
    expect((await until(() => waits(seen)[0])).at - start).toBeGreaterThanOrEqual(4_000);
  });

  it('at a drain is kept, and a drain is no failure', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0)).end('retry: 30\n\n');
    const start = Date.now();
    const [wait] = [await until(() => waits(seen)[0])];
    expect(wait).toMatchObject({ why: 'drain', attempt: 1 });
    const second = await node.exchange(1);
    expect(Date.now() - start).toBeGreaterThanOrEqual(28);
    second.prime(id(0)).end('retry: 30\n\n');
    await node.exchange(2);
    expect(waits(seen).map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  it('holds for other topics, too, and a renewed session asks at once', async () => {
    const node = await server();
    const made = client({ url: node.url, retry: { base: 1, max: 1 } });
    const subscription = made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0)).end('retry: 400\n\n');
    await until(() => made.status.state === 'waiting');
    const start = Date.now();
    subscription.add('b');
    const next = await node.exchange(1);
    expect(Date.now() - start).toBeGreaterThanOrEqual(380);
    expect(next.url.searchParams.getAll('topic')).toEqual(['a', 'b']);
    next.prime(id(0)).end('retry: 60000\n\n');
    await until(() => made.status.state === 'waiting');
    await made.refreshToken();
    await node.exchange(2);
  });

  it('at the start of a stream is no farewell: what follows is a failure, also if it is a comment', async () => {
    const plain = await server();
    const made = client({ url: `${plain.url}stream`, retry: { base: 1, max: 1, attempts: 3 } });
    made.subscribe([], { error() {} });
    plain.each((exchange) => exchange.head().send('retry: 1\n\n: ping\n\n').end());
    await until(() => made.status.state === 'closed');
    expect(made.status).toMatchObject({ why: { code: 'network' } });
    expect(plain.exchanges).toHaveLength(3);
  });

  it('at a drain is not the floor of a later stream, which has its own', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0)).end('retry: 200\n\n');
    (await node.exchange(1)).prime(id(0));
    await until(() => made.status.state === 'open');
    const before = Date.now();
    node.exchanges[1]?.cut();
    await until(() => waits(seen)[1]);
    expect((waits(seen)[1]?.at as number) - before).toBeLessThan(100);
  });

  it('at a shed never looks open, and counts as a failure', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('a', {});
    const start = Date.now();
    (await node.exchange(0)).head().end('retry: 300\n\n');
    expect((await until(() => waits(seen)[0])).at - start).toBeGreaterThanOrEqual(298);
    (await node.exchange(1)).head().end('retry: 25\n\n');
    (await node.exchange(2)).prime(id(0));
    await until(() => made.status.state === 'open');
    expect(seen.map(({ state }) => state)).toEqual(['connecting', 'waiting', 'connecting', 'waiting', 'connecting', 'open']);
    expect(waits(seen).map(({ why, attempt }) => [why, attempt])).toEqual([['shed', 2], ['shed', 3]]);
  });

  it('is not open before its prime', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const heard: string[] = [];
    made.subscribe('a', { message: (data) => void heard.push(data) });
    const stream = (await node.exchange(0)).head().send(': heartbeat 15000\nretry: 1\n');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(made.status.state).toBe('connecting');
    stream.send('id: 1\n\n');
    await until(() => made.status.state === 'open');
  });
});

describe('the watchdog', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  });

  async function openStream(options: { idle?: number; comment?: string }) {
    const node = await server();
    const made = client({ url: node.url, ...(options.idle && { idle: options.idle }), retry: { base: 1, max: 1 } });
    const seen = states(made);
    made.subscribe('a', {});
    await vi.advanceTimersByTimeAsync(1);
    (await node.exchange(0)).head().send(`${options.comment ?? ''}id: ${id(0)}\n\n`);
    await until(() => made.status.state === 'open');
    return { node, made, seen };
  }

  it('replaces a stream that is silent for three announced heartbeats', async () => {
    const { node, seen } = await openStream({ comment: ': heartbeat 2000\n' });
    await vi.advanceTimersByTimeAsync(5_900);
    expect(node.exchanges).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_700);
    expect((await node.exchange(1)).headers['last-event-id']).toBe(id(0));
    expect(waits(seen)[0]?.why).toMatchObject({ code: 'idle' });
    await until(() => node.exchanges[0]?.gone);
  });

  it('takes 45 s where the node announces nothing, and `idle` where it is set', async () => {
    const plain = await openStream({});
    await vi.advanceTimersByTimeAsync(44_000);
    expect(plain.node.exchanges).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(13_000);
    await plain.node.exchange(1);
    const set = await openStream({ idle: 1_000, comment: ': heartbeat 60000\n' });
    await vi.advanceTimersByTimeAsync(1_300);
    await set.node.exchange(1);
  });

  it('takes no number for an announcement that is a count, or comes after the prime', async () => {
    const { node, made } = await openStream({ comment: ': heartbeat 1\n: heartbeat 999\n' });
    node.exchanges[0]?.send(`: heartbeat 1000\nid: ${id(1)}\n\n`);
    await until(() => made.cursor === id(1));
    await vi.advanceTimersByTimeAsync(44_000);
    expect(node.exchanges).toHaveLength(1);
  });

  it('is content with any byte', async () => {
    const { node, made } = await openStream({ idle: 1_000 });
    for (let step = 0; step < 6; step++) {
      const { blocks } = { blocks: made.cursor };
      node.exchanges[0]?.send(`id: ${id(step + 1)}\n\n`);
      await until(() => made.cursor !== blocks);
      await vi.advanceTimersByTimeAsync(800);
    }
    expect(node.exchanges).toHaveLength(1);
  });

  it('compares clocks: it sees a long sleep at its next tick', async () => {
    const { node } = await openStream({ idle: 20_000 });
    vi.setSystemTime(Date.now() + 3_600_000);
    await vi.advanceTimersByTimeAsync(5_001);
    await node.exchange(1);
  });

  it('does not take a clock that is set back for life', async () => {
    const { node } = await openStream({ idle: 4_000 });
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(6_100);
    await node.exchange(1);
  });

  it('ends a request that is never answered', async () => {
    const node = await server();
    const made = client({ url: node.url, idle: 1_000, retry: { base: 1, max: 1 } });
    made.subscribe('a', {});
    await vi.advanceTimersByTimeAsync(1);
    await node.exchange(0);
    await vi.advanceTimersByTimeAsync(1_600);
    await node.exchange(1);
  });
});
