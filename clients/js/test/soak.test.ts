/**
 * A node with a history, behind a network that cuts at random bytes and a proxy that answers 502, while
 * tokens end and topics come and go.
 */
import { describe, expect, it } from 'vitest';
import { dice } from './support/dice.ts';
import { until, type Exchange } from './support/server.ts';
import { client, id, jwt, server } from './support/setup.ts';

const EVENTS = 3_000;

describe('a long run', () => {
  it('brings every event once and in order, to every subscription of its topic', async () => {
    const seed = Number(process.env['SOAK_SEED'] ?? Date.now());
    const random = dice(seed);
    const node = await server();
    const history: { number: number; topic: string }[] = [];
    const streams = new Set<{ exchange: Exchange; topics: string[] }>();
    let cuts = 0;
    const text = ({ number, topic }: { number: number; topic: string }): string =>
      `topic: ${topic}\nid: ${id(number)}\ndata: ${number}\n\n`;

    function send(stream: { exchange: Exchange; topics: string[] }, bytes: string): void {
      if (random(300) > 0 || !streams.has(stream)) return void stream.exchange.send(bytes);
      cuts++;
      streams.delete(stream);
      stream.exchange.send(bytes.slice(0, random(bytes.length)));
      setTimeout(() => stream.exchange.cut(), 2);
    }

    node.each((exchange) => {
      if (random(10) === 0) return exchange.answer(502, 'bad gateway');
      const stream = { exchange, topics: exchange.url.searchParams.getAll('topic') };
      const cursor = exchange.headers['last-event-id'] as string | undefined;
      const from = cursor ? Number(/-(\d+)\./.exec(cursor)?.[1]) : history.length;
      streams.add(stream);
      exchange.prime(id(from));
      for (const event of history.slice(from)) {
        if (streams.has(stream) && stream.topics.includes(event.topic)) send(stream, text(event));
      }
    });

    const made = client({ url: node.url, linger: 5, token: () => jwt({ exp: Date.now() / 1_000 + 0.3 }) });
    const seen = new Map<string, number[]>([['a', []], ['b', []], ['a again', []]]);
    const gaps: unknown[] = [];
    for (const [name, numbers] of seen) {
      made.subscribe(name[0] as string, { message: (data) => void numbers.push(Number(data)), gap: (gap) => void gaps.push(gap) });
    }
    await until(() => made.status.state === 'open');
    while (history.length < EVENTS) {
      for (let step = random(20); step >= 0; step--) {
        const event = { number: history.length + 1, topic: random(2) ? 'a' : 'b' };
        history.push(event);
        for (const stream of [...streams]) if (stream.topics.includes(event.topic)) send(stream, text(event));
      }
      if (random(10) === 0) {
        const other = made.subscribe(`other ${random(5)}`, {});
        setTimeout(() => other.close(), 30 + random(100));
      }
      await new Promise((resolve) => setTimeout(resolve, random(8)));
    }
    const expected = (topic: string): number[] => history.filter((event) => event.topic === topic).map(({ number }) => number);
    await until(() => seen.get('a')?.at(-1) === expected('a').at(-1) && seen.get('b')?.at(-1) === expected('b').at(-1));
    const context = `SOAK_SEED=${seed}, ${cuts} cuts, ${node.exchanges.length} requests`;
    expect(seen.get('a'), context).toEqual(expected('a'));
    expect(seen.get('b'), context).toEqual(expected('b'));
    expect(seen.get('a again'), context).toEqual(expected('a'));
    expect(gaps, context).toEqual([]);
    expect(node.exchanges.length, context).toBeGreaterThan(10);
  }, 30_000);
});
