import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient } from '../../src/index.ts';
import { createFakeNode } from '../../src/testing/index.ts';
import { fake } from '../support/fake.ts';
import { until } from '../support/server.ts';
import { atEnd, states } from '../support/setup.ts';

describe('the fake node', () => {
  it('primes, and sends events, heartbeats and gaps', async () => {
    const { node, client } = fake();
    const seen: unknown[] = [];
    client.subscribe(['a', 'b/*'], {
      price: (data, { topic, id }) => seen.push([topic, data, id]),
      message: (data) => seen.push(data),
      gap: ({ reason }) => seen.push(reason),
    });
    const stream = await node.stream();
    expect(stream.request).toMatchObject({ method: 'GET', topics: ['a', 'b/*'], cursor: undefined, token: undefined });
    const id = node.publish('a', 1, { event: 'price' });
    node.publish(['b/x', 'c'], 'two\nlines');
    node.publish('c', 'of another topic');
    node.publish('a', 'own', { id: 'order-7' });
    await node.settled();
    expect(client.cursor).toBe('order-7');
    node.gap('lagged');
    stream.gap();
    stream.send('data: raw\n\n');
    node.heartbeat();
    await node.settled();
    expect(seen).toEqual([['a', 1, id], 'two\nlines', 'own', 'lagged', 'evicted', 'raw']);
    expect(id).toMatch(/^\d+-\d+\.fake00$/);
    expect(client.status.state).toBe('open');
  });

  it('replays what a cursor has not had, tells a gap for what is forgotten, and for what it never knew', async () => {
    const node = createFakeNode();
    let cursor: string | undefined;
    const read = async (from: string) => {
      const { client } = fake({}, node);
      const seen: unknown[] = [];
      client.subscribe('a', { message: (data) => seen.push(data), gap: (gap) => seen.push(gap) }, { from });
      const before = node.requests.length;
      await until(() => node.requests.length > before);
      await node.settled();
      cursor = client.cursor;
      client.close();
      return seen;
    };
    const ids = ['1', '2', '3'].map((data) => node.publish('a', data));
    expect(await read(ids[0] as string)).toEqual(['2', '3']);
    expect(await read('earliest')).toEqual(['1', '2', '3']);
    expect(await read('now')).toEqual([]);
    expect(await read('x')).toEqual([{ from: 'x', to: ids[2], reason: 'unknown' }, '1', '2', '3']);
    expect(cursor).toBe(ids[2]);
    node.forget();
    expect(await read(ids[0] as string)).toEqual([{ from: ids[0], to: ids[2], reason: 'evicted' }]);
    expect(cursor).toBe(ids[2]);
    node.publish('a', '4');
    expect(await read(ids[0] as string)).toEqual([{ from: ids[0], to: ids[2], reason: 'evicted' }, '4']);
    expect(await read(ids[2] as string)).toEqual(['4']);
  });

  it('drains, cuts, sheds and refuses, and has what the client sent', async () => {
    const { node, client } = fake({ token: (why) => why });
    const seen = states(client);
    const errors: unknown[] = [];
    client.subscribe('a', { error: (error) => errors.push(error.status) });
    await node.stream();
    await until(() => client.status.state === 'open');
    node.drain();
    await until(() => seen.some((status) => status.state === 'waiting' && status.why === 'drain'));
    await until(() => client.status.state === 'open');
    node.shed();
    node.cut();
    await until(() => seen.some((status) => status.state === 'waiting' && status.why === 'shed'));
    await until(() => client.status.state === 'open');
    node.refuse(401);
    node.refuse(503, { retryAfter: 0, detail: 'not now' });
    node.cut();
    await until(() => node.requests.at(-1)?.token === 'refused' && client.status.state === 'open');
    expect(seen.some((status) => status.state === 'waiting' && String(status.why).includes('not now'))).toBe(true);
    const before = node.requests.length;
    node.refuse(403, { times: Infinity });
    node.cut();
    await until(() => errors.length === 1);
    expect(errors).toEqual([403]);
    expect(node.requests).toHaveLength(before + 1);
    expect(node.streams).toEqual([]);
  });

  it('sends the first word when the test says so', async () => {
    const { node, client } = fake({}, createFakeNode({ prime: 'manual', heartbeat: 2_000, retry: 7 }));
    const seen: string[] = [];
    client.subscribe('a', { message: (data) => seen.push(data) }, { from: 'earliest' });
    const stream = await node.stream();
    node.publish('a', 'before the prime');
    await node.settled();
    expect(client.status.state).toBe('connecting');
    stream.prime();
    stream.prime();
    node.publish('a', 'after');
    await node.settled();
    expect(client.status.state).toBe('open');
    expect(seen).toEqual(['before the prime', 'after']);
  });

  it('takes what the client publishes', async () => {
    const { node, client } = fake();
    const seen: unknown[] = [];
    client.subscribe('a', { price: (data) => seen.push(data) });
    await node.stream();
    const { id, subscribers } = await client.publish(['a', 'b'], 4, { event: 'price' });
    await node.settled();
    expect(seen).toEqual([4]);
    expect(subscribers).toBe(1);
    expect(id).toBe(client.cursor);
    node.shed();
    await client.publish('a', 5);
    node.refuse(413, { detail: 'too large' });
    await expect(client.publish('a', 'x')).rejects.toThrow('too large');
  });

  it('knows when the client has left', async () => {
    const { node, client } = fake({ linger: 0 });
    const subscription = client.subscribe('a', {});
    const stream = await node.stream();
    await until(() => client.status.state === 'open');
    subscription.close();
    await until(() => !stream.open);
    expect(node.streams).toEqual([]);
    expect(() => stream.send('')).toThrow('the stream is over');
    const later = node.stream();
    client.subscribe('b', {});
    expect((await later).request.topics).toEqual(['b']);
  });

  it('ends a stream that is aborted, and says when one is not read', async () => {
    const node = createFakeNode();
    const abort = new AbortController();
    const response = await node.fetch('http://fantail.test/events?topic=a', { signal: abort.signal });
    await expect(node.settled()).rejects.toThrow('the client does not read its stream to the end');
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toMatch(/^: heartbeat 15000\nid: \S+\n\n$/);
    const next = reader?.read();
    await node.settled();
    abort.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    expect(node.streams).toEqual([]);
    await expect(node.fetch('http://fantail.test/events', { signal: abort.signal })).rejects.toThrow('enough');
  });

  it('gives each event an id of its own when the clock is set back', () => {
    const node = createFakeNode();
    const now = vi.spyOn(Date, 'now').mockReturnValue(1_000);
    const ids = [1, 2, 3].map((data) => node.publish('a', data));
    now.mockReturnValue(9e12);
    ids.push(node.publish('a', 4));
    expect(new Set(ids).size).toBe(4);
    expect(ids[3]).toBe('9000000000000-0.fake00');
  });

  it('names what is wrong with an option, and what it does not answer', async () => {
    expect(() => createFakeNode({ url: 'http://fantail.test' })).toThrow('`url` is http://fantail.test; it must end with /');
    expect(() => createFakeNode({ heartbeat: 0 })).toThrow('`heartbeat` is 0; it must be a whole number from 1 to 86400000');
    const node = createFakeNode();
    expect(() => node.refuse(200)).toThrow('`status` is 200; it must be a whole number from 400 to 599');
    expect(() => node.publish([], 'x')).toThrow('an event needs a topic');
    await expect(node.fetch('http://fantail.test/other')).rejects.toThrow(
      'the fake node at http://fantail.test/ does not answer GET http://fantail.test/other',
    );
  });
});

describe('with fake timers', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_760_000_000_000 }));
  afterEach(() => void vi.useRealTimers());

  it('waits as long as the client does, and no longer', async () => {
    const node = createFakeNode({ heartbeat: 1_000 });
    const client = createClient({ url: node.url, fetch: node.fetch, retry: { base: 1, max: 1 } });
    atEnd(() => client.close());
    const seen: unknown[] = [];
    client.subscribe('a', { message: (data, { at }) => seen.push([data, at]) });
    expect(node.requests).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(0);
    node.publish('a', '1');
    await node.settled();
    expect(seen).toEqual([['1', 1_760_000_000_000]]);
    node.drain(60_000);
    await node.settled();
    expect(client.status).toMatchObject({ state: 'waiting', why: 'drain', at: 1_760_000_060_000 });
    await vi.advanceTimersByTimeAsync(59_999);
    expect(node.requests).toHaveLength(1);
    node.publish('a', '2');
    await vi.advanceTimersByTimeAsync(1);
    await node.settled();
    expect(client.status.state).toBe('open');
    expect(seen).toHaveLength(2);
    // Three heartbeats of silence.
    await vi.advanceTimersByTimeAsync(4_000);
    await node.settled();
    expect(node.requests).toHaveLength(3);
  });
});
