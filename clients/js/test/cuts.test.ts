import { describe, expect, it, vi } from 'vitest';
import type { Gap } from '../src/index.ts';
import { until, type Exchange } from './support/server.ts';
import { client, id, server, states } from './support/setup.ts';

/** Number of an id as `id` makes it; 0 for none. */
function numberOf(cursor: string | undefined): number {
  return cursor ? Number(/-(\d+)\./.exec(cursor)?.[1]) : 0;
}

/** A body that says one thing and then nothing more, and never ends. */
function endless(text: string, cancelled: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
    cancel: cancelled,
  });
}

describe('cuts', () => {
  it('lose and repeat nothing: 1,000 events over 20 cuts, each at another byte', async () => {
    const node = await server();
    const total = 1_000;
    const text = (number: number): string => `topic: t\nid: ${id(number)}\ndata: ${number}\n\n`;
    node.each((exchange, index) => {
      const from = numberOf(exchange.headers['last-event-id'] as string | undefined);
      const bytes = Array.from({ length: total - from }, (_, step) => text(from + step + 1)).join('');
      exchange.prime(id(from));
      if (index === 20) return void exchange.send(bytes);
      exchange.send(bytes.slice(0, 1_500 + 37 * index));
      setTimeout(() => exchange.cut(), 5);
    });
    const seen: string[] = [];
    const gaps: Gap[] = [];
    const made = client({ url: node.url });
    made.subscribe('t', { message: (data) => void seen.push(data), gap: (gap) => void gaps.push(gap) });
    await until(() => seen.length >= total);
    expect(seen).toEqual(Array.from({ length: total }, (_, index) => String(index + 1)));
    expect(node.exchanges).toHaveLength(21);
    expect(gaps).toEqual([]);
  });

  it('move the cursor by heartbeats alone', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('t', {});
    const first = await node.exchange(0);
    expect(first.headers['last-event-id']).toBeUndefined();
    first.prime(id(1)).send(`id: ${id(9)}\n\n`);
    await until(() => made.cursor === id(9));
    first.cut();
    expect((await node.exchange(1)).headers['last-event-id']).toBe(id(9));
  });

  it('of reads fall anywhere, also within a character', async () => {
    const bytes = new TextEncoder().encode(`id: ${id(0)}\n\nid: ${id(1)}\ntopic: t\ndata: é🦊\n\n`);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      },
    });
    const made = client({
      url: 'http://127.0.0.1:1/',
      fetch: async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }),
    });
    const seen: string[] = [];
    made.subscribe('t', { message: (data) => void seen.push(data) });
    await until(() => seen.length);
    expect(seen).toEqual(['é🦊']);
  });

  it('send an id of any characters back as its UTF-8', async () => {
    const node = await server();
    const made = client({ url: node.url });
    made.subscribe('t', {});
    (await node.exchange(0)).prime('größe-✓').end();
    const header = (await node.exchange(1)).headers['last-event-id'] as string;
    expect(Buffer.from(header, 'latin1').toString('utf8')).toBe('größe-✓');
  });

  it('are a gap where the server has no cursors: nothing is lost in silence', async () => {
    const other = await server();
    const made = client({ url: `${other.url}stream` });
    const said: unknown[] = [];
    made.subscribe([], { message: (data) => void said.push(data), gap: (gap) => void said.push(gap) });
    (await other.exchange(0)).head().send('data: 1\n\n').end();
    (await other.exchange(1)).head().send('data: 2\n\n');
    await until(() => said.length === 3);
    expect(said).toEqual(['1', { from: '', to: '', reason: 'unknown' }, '2']);
  });

  it('tell the gaps of the node, and go on', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const said: unknown[] = [];
    made.subscribe('t', { message: (data) => void said.push(data), gap: (gap) => void said.push(gap) });
    const gap = { from: id(1), reason: 'evicted', to: id(5) };
    (await node.exchange(0)).prime(id(1)).event(id(5), JSON.stringify(gap), { event: 'gap' }).event(id(6), 'six');
    await until(() => said.length === 2);
    expect(said).toEqual([gap, 'six']);
    expect(made.cursor).toBe(id(6));
  });

  it('never let a late event of an old connection through', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen: string[] = [];
    let later: Exchange | undefined;
    const subscription = made.subscribe('t', {
      message(data) {
        seen.push(data);
        subscription.close();
      },
    });
    later = (await node.exchange(0)).prime(id(1));
    // Both come in one read: the second one is late, because the first ended the subscription.
    later.send(`id: ${id(2)}\ndata: 2\n\nid: ${id(3)}\ndata: 3\n\n`);
    await until(() => later?.gone);
    expect(seen).toEqual(['2']);
  });

  it('are no longer mended after close, and nothing is left open', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const seen = states(made);
    made.subscribe('t', {});
    (await node.exchange(0)).prime(id(1));
    await until(() => made.status.state === 'open');
    made.close();
    await until(() => node.open().length === 0);
    expect(made.status).toEqual({ state: 'closed', why: 'closed' });
    expect(seen.at(-1)).toEqual({ state: 'closed', why: 'closed' });
    expect(made.subscribe('t', {}).status.state).toBe('closed');
    expect(node.exchanges).toHaveLength(1);
  });

  it('release what a `fetch` without signals holds: the body is cancelled on every path', async () => {
    const cancelled = vi.fn();
    const answers = [
      // Too much of a problem document, another type, an event without an end, and a stream that is closed.
      new Response(endless('x'.repeat(70_000), cancelled), { status: 503 }),
      new Response(endless('<html>', cancelled), { headers: { 'content-type': 'text/html' } }),
    ];
    let index = 0;
    const fetch = async (): Promise<Response> => answers[index++] as Response;
    const made = client({ url: 'http://127.0.0.1:1/', fetch });
    made.subscribe('a', {});
    await until(() => made.status.state === 'closed');
    await until(() => cancelled.mock.calls.length === 2);
    answers.push(new Response(endless('id: 1\n\n', cancelled), { headers: { 'content-type': 'text/event-stream' } }));
    await made.refreshToken();
    await until(() => made.status.state === 'open');
    made.close();
    await until(() => cancelled.mock.calls.length === 3);
  });

  it('of a response of another type close the stream with an error that says so', async () => {
    const node = await server();
    const errors: string[] = [];
    const made = client({ url: node.url });
    made.subscribe('t', { error: (error) => void errors.push(`${error.code}: ${error.message}`) });
    (await node.exchange(0)).head(200, { 'content-type': 'text/html' }).send('<html>');
    await until(() => errors.length);
    expect(errors).toEqual(['protocol: the content type is text/html, not text/event-stream']);
    expect(made.status.state).toBe('closed');
    await until(() => node.open().length === 0);
  });
});
