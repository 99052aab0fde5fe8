import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Live, LiveStore } from '../src/index.ts';
import { isWithin } from '../src/ids.ts';
import { createFakeNode } from '../src/testing/index.ts';
import { until } from './support/server.ts';
import { client, id, server } from './support/setup.ts';

/** A load that the test answers. */
function loads<T>() {
  const calls: { resolve(value: T): void; reject(error: unknown): void; signal: AbortSignal }[] = [];
  const load = (signal: AbortSignal): Promise<T> =>
    new Promise((resolve, reject) => calls.push({ resolve, reject, signal }));
  return { calls, load };
}

const apply = (state: string, { data }: { data: unknown }): string => `${state},${String(data)}`;

describe('live', () => {
  it('loads after the prime, and then applies the events that came meanwhile', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const { calls, load } = loads<string>();
    const store = made.live({ topics: 'a', load, apply });
    expect(store.getSnapshot()).toEqual({ state: undefined, loading: false, stale: true, status: { state: 'idle' } });
    expect(store.getSnapshot()).toBe(store.getSnapshot());
    store.subscribe(() => {});
    const stream = await node.exchange(0);
    expect(calls).toHaveLength(0);
    stream.prime(id(0)).event(id(1), '1').event(id(2), '2');
    await until(() => calls.length === 1 && made.cursor === id(2));
    expect(store.getSnapshot()).toMatchObject({ loading: true, stale: true, status: { state: 'open' } });
    calls[0]?.resolve('S');
    await until(() => !store.getSnapshot().loading);
    expect(store.getSnapshot()).toMatchObject({ state: 'S,1,2', loading: false, stale: false });
    stream.event(id(3), '3');
    await until(() => store.getSnapshot().state === 'S,1,2,3');
  });

  it('drops the events that are in the state already, as its cursor says', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const { calls, load } = loads<{ state: string; cursor: string }>();
    const store = made.live<string>({ topics: 'a', load, apply });
    store.subscribe(() => {});
    const stream = (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), '2').event(id(3), '3');
    await until(() => calls.length === 1 && made.cursor === id(3));
    calls[0]?.resolve({ state: 'S', cursor: id(2) });
    await until(() => store.getSnapshot().state === 'S,3');
    store.reload();
    calls[1]?.resolve({ state: 'T', cursor: id(5) });
    await until(() => store.getSnapshot().state === 'T');
    // The state was ahead of the stream.
    stream.event(id(4), '4').event(id(5), '5').event(id(6), '6');
    await until(() => store.getSnapshot().state === 'T,6');
  });

  it('compares ids as far as they tell', () => {
    expect(isWithin('5-1.aaaaaa', '5-1.aaaaaa')).toBe(true);
    expect(isWithin('5-1.aaaaaa', '5-2.aaaaaa')).toBe(true);
    expect(isWithin('4-9.aaaaaa', '5-2.aaaaaa')).toBe(true);
    expect(isWithin('5-10.aaaaaa', '5-2.aaaaaa')).toBe(false);
    expect(isWithin('4-9.bbbbbb', '5-2.aaaaaa')).toBe(false);
    expect(isWithin('order-7', '5-2.aaaaaa')).toBe(false);
  });

  it('loads again after a gap, and keeps the state until then', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const { calls, load } = loads<string>();
    const store = made.live({ topics: 'a', load, apply });
    store.subscribe(() => {});
    const stream = (await node.exchange(0)).prime(id(0));
    await until(() => calls.length === 1);
    calls[0]?.resolve('S');
    await until(() => store.getSnapshot().state === 'S');
    stream.event(id(5), JSON.stringify({ from: id(0), to: id(5), reason: 'lagged' }), { event: 'gap' }).event(id(6), '6');
    await until(() => calls.length === 2 && made.cursor === id(6));
    expect(store.getSnapshot()).toMatchObject({ state: 'S', stale: true, loading: true });
    calls[1]?.resolve('T');
    await until(() => store.getSnapshot().state === 'T,6');
    expect(store.getSnapshot().stale).toBe(false);
  });

  it('is stale while the stream is cut, and does not load again without a gap', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const { calls, load } = loads<string>();
    const store = made.live({ topics: 'a', load, apply });
    const seen: Live<string>[] = [];
    store.subscribe(() => seen.push(store.getSnapshot()));
    (await node.exchange(0)).prime(id(0));
    await until(() => calls.length === 1);
    calls[0]?.resolve('S');
    await until(() => store.getSnapshot().state === 'S');
    node.exchanges[0]?.end();
    (await node.exchange(1)).prime(id(0)).event(id(1), '1');
    await until(() => store.getSnapshot().state === 'S,1');
    expect(calls).toHaveLength(1);
    expect(seen.some(({ stale, status }) => stale && status.state === 'waiting')).toBe(true);
    expect(store.getSnapshot().stale).toBe(false);
  });

  it('of a topic that joins an open stream loads only when the stream has the topic', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    const { calls, load } = loads<string>();
    const store = made.live({ topics: 'b', load, apply });
    store.subscribe(() => {});
    const second = await node.exchange(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(calls).toHaveLength(0);
    second.prime(id(0));
    await until(() => calls.length === 1);
  });

  it('that is loaded before the stream is open is loaded again then: what came between is in neither', async () => {
    const node = await server();
    const { calls, load } = loads<string>();
    const store = client({ url: node.url }).live({ topics: 'a', load, apply });
    store.subscribe(() => {});
    const stream = await node.exchange(0);
    store.reload();
    calls[0]?.resolve('S');
    await until(() => store.getSnapshot().state === 'S');
    expect(store.getSnapshot().stale).toBe(true);
    stream.prime(id(1));
    await until(() => calls.length === 2);
    calls[1]?.resolve('T');
    await until(() => store.getSnapshot().state === 'T');
    expect(store.getSnapshot()).toMatchObject({ loading: false, stale: false });
    store.reload();
    expect(calls).toHaveLength(3);
  });

  it('tells why a load failed, tries again, and forgets it then', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const { calls, load } = loads<string>();
    const store = made.live({ topics: 'a', load, apply });
    store.subscribe(() => {});
    (await node.exchange(0)).prime(id(0));
    await until(() => calls.length === 1);
    const failure = new Error('500');
    calls[0]?.reject(failure);
    await until(() => store.getSnapshot().error === failure);
    await until(() => calls.length === 2);
    calls[1]?.resolve('S');
    await until(() => store.getSnapshot().state === 'S');
    expect('error' in store.getSnapshot()).toBe(false);
  });

  it('loads nothing any more when the client is closed', async () => {
    const node = await server();
    const made = client({ url: node.url, retry: { base: 1_000 } });
    const { calls, load } = loads<string>();
    const [failing, slow] = [1, 2].map(() => made.live({ topics: 'a', load, apply })) as [LiveStore<string>, LiveStore<string>];
    failing.subscribe(() => {});
    slow.subscribe(() => {});
    (await node.exchange(0)).prime(id(0));
    await until(() => calls.length === 2);
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    try {
      calls[0]?.reject(new Error('401'));
      await vi.advanceTimersByTimeAsync(0);
      expect(failing.getSnapshot()).toMatchObject({ error: new Error('401'), loading: false });
      made.close();
      expect(calls[1]?.signal.aborted).toBe(true);
      expect(slow.getSnapshot()).toMatchObject({ loading: false, stale: true, status: { state: 'closed' } });
      await vi.advanceTimersByTimeAsync(60_000);
      expect(calls).toHaveLength(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it('keeps the state when `apply` throws, and goes on', async () => {
    const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
    const node = await server();
    const made = client({ url: node.url });
    const thrown = new Error('no');
    const store = made.live<string>({
      topics: 'a',
      load: async () => 'S',
      apply(state, { data }) {
        if (data === '1') throw thrown;
        return state + data;
      },
    });
    store.subscribe(() => {});
    (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), '2');
    await until(() => store.getSnapshot().state === 'S2');
    expect(store.getSnapshot().error).toBe(thrown);
    expect(reported).toHaveBeenCalledWith(thrown);
  });

  it('starts again when more events wait than may', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const { calls, load } = loads<string>();
    const store = made.live({ topics: 'a', load, apply, queue: 2 });
    store.subscribe(() => {});
    const stream = (await node.exchange(0)).prime(id(0));
    await until(() => calls.length === 1);
    for (const number of [1, 2, 3, 4]) stream.event(id(number), String(number));
    await until(() => calls.length === 2 && made.cursor === id(4));
    expect(calls[0]?.signal.aborted).toBe(true);
    calls[0]?.resolve('old');
    calls[1]?.resolve('S');
    await until(() => !store.getSnapshot().loading);
    expect(store.getSnapshot().state).toBe('S,4');
  });

  it('tells its listeners once for all events that arrive together', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const store = made.live<number>({ topics: 'a', load: async () => 0, apply: (state) => state + 1 });
    const listener = vi.fn();
    store.subscribe(listener);
    const stream = (await node.exchange(0)).prime(id(0));
    await until(() => store.getSnapshot().state === 0);
    await Promise.resolve();
    listener.mockClear();
    stream.send(Array.from({ length: 500 }, (_, index) => `id: ${id(index + 1)}\ndata: x\n\n`).join(''));
    await until(() => store.getSnapshot().state === 500);
    expect(listener.mock.calls.length).toBeLessThan(20);
  });

  it('survives listeners that leave and come back at once, and ends some time after the last', async () => {
    const node = await server();
    const made = client({ url: node.url, linger: 40 });
    const load = vi.fn(async () => 'S');
    const store = made.live({ topics: 'a', load, apply });
    store.subscribe(() => {})();
    const leave = store.subscribe(() => {});
    (await node.exchange(0)).prime(id(0));
    await until(() => store.getSnapshot().state === 'S');
    leave();
    const stay = store.subscribe(() => {});
    expect(load).toHaveBeenCalledTimes(1);
    stay();
    await until(() => node.open().length === 0);
    expect(store.getSnapshot()).toMatchObject({ state: 'S', stale: true, status: { state: 'idle' } });
    store.subscribe(() => {});
    (await node.exchange(1)).prime(id(9));
    await until(() => load.mock.calls.length === 2);
    store.close();
    expect(store.getSnapshot().status).toEqual({ state: 'closed', why: 'closed' });
    await until(() => node.open().length === 0);
  });

  describe('on a clock of the test', () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    it('keeps its stream for `linger` after the last listener, and no longer', async () => {
      const node = createFakeNode();
      const made = client({ url: node.url, fetch: node.fetch, linger: 1_000 });
      const store = made.live({ topics: 'a', load: async () => 'S', apply });
      const leave = store.subscribe(() => {});
      await vi.advanceTimersByTimeAsync(10);
      leave();
      await vi.advanceTimersByTimeAsync(990);
      expect([node.streams.length, store.getSnapshot().stale]).toEqual([1, false]);
      await vi.advanceTimersByTimeAsync(20);
      expect([node.streams.length, store.getSnapshot().stale]).toEqual([0, true]);
    });

    it('keeps its stream for `linger` after it was closed, or after a subscription that left later', async () => {
      const node = createFakeNode();
      const made = client({ url: node.url, fetch: node.fetch, linger: 1_000 });
      const store = made.live({ topics: 'a', load: async () => 'S', apply });
      store.subscribe(() => {})();
      await vi.advanceTimersByTimeAsync(100);
      store.subscribe(() => {});
      const subscription = made.subscribe('b', {});
      await vi.advanceTimersByTimeAsync(10_000);
      store.close();
      await vi.advanceTimersByTimeAsync(100);
      expect(node.requests.at(-1)?.topics).toEqual(['a', 'b']);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(node.requests.at(-1)?.topics).toEqual(['b']);
      const other = made.live({ topics: 'c', load: async () => 'S', apply });
      const leave = other.subscribe(() => {});
      await vi.advanceTimersByTimeAsync(100);
      leave();
      await vi.advanceTimersByTimeAsync(900);
      subscription.close();
      await vi.advanceTimersByTimeAsync(900);
      expect([node.streams.length, node.requests.at(-1)?.topics]).toEqual([1, ['b', 'c']]);
      await vi.advanceTimersByTimeAsync(110);
      expect(node.streams).toHaveLength(0);
    });
  });

  it('shows that the stream was refused', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const store = made.live({ topics: 'a', load: async () => 'S', apply });
    store.subscribe(() => {});
    (await node.exchange(0)).answer(403);
    await until(() => store.getSnapshot().error);
    expect(store.getSnapshot()).toMatchObject({ state: undefined, stale: true, status: { state: 'closed' }, error: { code: 'forbidden' } });
  });
});
