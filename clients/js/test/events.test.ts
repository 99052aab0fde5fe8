import { describe, expect, it } from 'vitest';
import { FantailError } from '../src/index.ts';
import { until } from './support/server.ts';
import { client, id, server } from './support/setup.ts';

describe('events', () => {
  it('subscribe with the first `next`, and end with the loop', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const iterable = made.events('a');
    expect(made.status.state).toBe('idle');
    const seen: unknown[] = [];
    const loop = (async () => {
      for await (const event of iterable) {
        seen.push(event.data);
        if (seen.length === 2) break;
      }
    })();
    (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), '2').event(id(3), '3');
    await loop;
    expect(seen).toEqual(['1', '2']);
    await until(() => node.open().length === 0);
    expect(made.status.state).toBe('idle');
  });

  it('of a name that an object has by itself are text like others', async () => {
    const node = await server();
    const reader = client({ url: node.url }).events('a')[Symbol.asyncIterator]();
    const next = reader.next();
    (await node.exchange(0)).prime(id(0)).event(id(1), '1', { event: 'constructor' });
    expect((await next).value).toMatchObject({ name: 'constructor', data: '1' });
  });

  it('bring gaps among themselves, in order', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const reader = made.events('a')[Symbol.asyncIterator]();
    const gap = { from: id(1), to: id(2), reason: 'evicted' };
    (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), JSON.stringify(gap), { event: 'gap' }).event(id(3), '3');
    const items = [await reader.next(), await reader.next(), await reader.next()].map(({ value }) => value);
    expect(items).toMatchObject([{ data: '1' }, { name: 'gap', id: id(2), data: gap }, { data: '3' }]);
  });

  it('that wait for a slow reader are bounded: more are one gap, `lagged`, and the rest goes on', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const reader = made.events('a', { queue: 2 })[Symbol.asyncIterator]();
    const stream = (await node.exchange(0)).prime(id(0));
    for (const number of [1, 2, 3, 4, 5]) stream.event(id(number), String(number));
    await until(() => made.cursor === id(5));
    const items = [await reader.next(), await reader.next(), await reader.next()].map(({ value }) => value);
    expect(items).toMatchObject([{ data: '1' }, { data: '2' }, { name: 'gap', data: { from: id(2), to: id(5), reason: 'lagged' } }]);
    const next = reader.next();
    stream.event(id(6), '6');
    expect((await next).value).toMatchObject({ data: '6' });
  });

  it('of a long queue are read in time that grows with their number alone', async () => {
    const node = await server();
    const count = 120_000;
    const reader = client({ url: node.url }).events('a', { queue: count })[Symbol.asyncIterator]();
    const first = reader.next();
    const stream = (await node.exchange(0)).prime(id(0)).send('data: 0\n\n');
    await first;
    stream.send(Array.from({ length: count }, (_, index) => `data: ${index + 1}\n\n`).join(''));
    let wrong = 0;
    for (let number = 1; number <= count; number++) if ((await reader.next()).value?.data !== String(number)) wrong++;
    expect(wrong).toBe(0);
  });

  it('may be asked for several times at once', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const reader = made.events('a')[Symbol.asyncIterator]();
    const both = Promise.all([reader.next(), reader.next()]);
    (await node.exchange(0)).prime(id(0)).event(id(1), '1').event(id(2), '2');
    expect((await both).map(({ value }) => (value as { data: string }).data)).toEqual(['1', '2']);
  });

  it('end with `close` and with their signal, after what has arrived', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const abort = new AbortController();
    const one = made.events('a', { signal: abort.signal })[Symbol.asyncIterator]();
    const two = made.events('a')[Symbol.asyncIterator]();
    (await node.exchange(0)).prime(id(0)).event(id(1), '1');
    await until(() => made.cursor === id(1));
    abort.abort();
    expect([(await one.next()).done, (await one.next()).done]).toEqual([false, true]);
    await two.next();
    const last = two.next();
    made.close();
    expect((await last).done).toBe(true);
    expect((await made.events('a')[Symbol.asyncIterator]().next()).done).toBe(true);
  });

  it('throw when the stream is refused', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const reader = made.events('a')[Symbol.asyncIterator]();
    const next = reader.next();
    (await node.exchange(0)).answer(403);
    const error = await next.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FantailError);
    expect(error).toMatchObject({ code: 'forbidden', status: 403 });
    expect((await reader.next()).done).toBe(true);
  });

  it('throw when the stream was refused before', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const subscription = made.subscribe('a', { error() {} });
    (await node.exchange(0)).answer(403);
    await until(() => subscription.status.state === 'closed');
    await expect(made.events('a')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('that were refused subscribe to nothing any more', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const loop = (async () => {
      for await (const event of made.events('a')) throw new Error(String(event));
    })();
    (await node.exchange(0)).answer(403);
    await expect(loop).rejects.toMatchObject({ code: 'forbidden' });
    await until(() => made.status.state === 'idle');
    await made.refreshToken();
    expect(made.status).toEqual({ state: 'idle' });
    expect(node.exchanges).toHaveLength(1);
  });
});
