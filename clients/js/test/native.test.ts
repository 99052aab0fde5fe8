import { EventSource } from 'eventsource';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { until } from './support/server.ts';
import { atEnd, client, id, server, states } from './support/setup.ts';

beforeEach(() => {
  vi.stubGlobal('EventSource', EventSource);
  atEnd(() => vi.unstubAllGlobals());
});

describe('the native transport', () => {
  it('hears the names that somebody wants, also those that come later', async () => {
    const node = await server();
    const made = client({ url: node.url, transport: 'eventsource', token: () => 'T' });
    const seen: string[] = [];
    made.subscribe('a', { message: (data) => void seen.push(data) });
    const stream = await node.exchange(0);
    // Its blocks do not tell their topics to a page, and it sends no headers.
    expect(stream.url.search).toBe('?topic=a&authorization=T&heartbeat=event');
    stream.prime(id(0)).event(id(1), '1').event(id(2), '2', { event: 'created' });
    await until(() => seen.length === 1);
    expect(made.status.state).toBe('open');
    made.subscribe('a', { created: (data: string) => void seen.push(`created ${data}`) } as object);
    stream.event(id(3), '3', { event: 'created' });
    await until(() => seen.length === 2);
    expect(seen).toEqual(['1', 'created 3']);
  });

  it('goes on from the last event, by the address', async () => {
    const node = await server();
    const made = client({ url: node.url, transport: 'eventsource' });
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0)).event(id(7), 'x');
    await until(() => made.cursor === id(7));
    node.exchanges[0]?.end();
    expect((await node.exchange(1)).url.searchParams.get('lastEventID')).toBe(id(7));
  });

  it('takes a heartbeat that a page can see for a cursor', async () => {
    const node = await server();
    const made = client({ url: node.url, transport: 'eventsource' });
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0)).event(id(8), '', { event: 'heartbeat' });
    await until(() => made.cursor === id(8));
  });

  it('tells a gap when it was cut before it had a cursor', async () => {
    const node = await server();
    const made = client({ url: node.url, transport: 'eventsource' });
    const gaps: unknown[] = [];
    made.subscribe('a', { gap: (gap) => void gaps.push(gap) });
    (await node.exchange(0)).prime(id(0));
    // It is open when it was not shed within half a second.
    await until(() => made.status.state === 'open');
    node.exchanges[0]?.end();
    (await node.exchange(1)).prime(id(5)).event(id(6), 'x');
    await until(() => gaps.length);
    expect(gaps).toEqual([{ from: '', to: '', reason: 'unknown' }]);
  });

  it('does not look open when it is shed', async () => {
    const node = await server();
    const made = client({ url: node.url, transport: 'eventsource' });
    const seen = states(made);
    made.subscribe('a', {});
    (await node.exchange(0)).head().end('retry: 10\n\n');
    await node.exchange(1);
    expect(seen.map(({ state }) => state)).toEqual(['connecting', 'waiting', 'connecting']);
  });

  it('asks for another token once when it is refused, and then waits', async () => {
    const node = await server();
    const token = vi.fn((why: string) => why);
    const made = client({ url: node.url, transport: 'eventsource', token });
    made.subscribe('a', {});
    (await node.exchange(0)).answer(401);
    expect((await node.exchange(1)).url.searchParams.get('authorization')).toBe('refused');
    node.exchanges[1]?.answer(401);
    await node.exchange(2);
    expect(token).toHaveBeenCalledTimes(2);
  });

  it('closes with a clear error where there is no EventSource', async () => {
    vi.stubGlobal('EventSource', undefined);
    const made = client({ url: 'http://127.0.0.1:1/', transport: 'eventsource' });
    made.subscribe('a', {});
    await until(() => made.status.state === 'closed');
    expect(String((made.status as { why: unknown }).why)).toContain('there is no EventSource here; leave `transport` out');
  });

  it('shows no token in the log', async () => {
    const node = await server();
    const lines: unknown[] = [];
    const made = client({ url: node.url, transport: 'eventsource', token: () => 'S3CRET', log: (line) => void lines.push(line) });
    made.subscribe('a', {});
    (await node.exchange(0)).answer(401);
    await node.exchange(1);
    expect(JSON.stringify(lines)).not.toContain('S3CRET');
  });
});
