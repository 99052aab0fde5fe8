import { describe, expect, it, vi } from 'vitest';
import { createFollower } from '../../src/views/follow.ts';
import { storeKey } from '../../src/views/live.ts';
import type { AnyClient, AnyHandlers } from '../../src/views/types.ts';
import { fake } from '../support/fake.ts';
import { until } from '../support/server.ts';

/** An EventSource that connects to nothing, and knows the names that it was told. */
class DeafSource {
  static readonly CLOSED = 2;
  static readonly made: DeafSource[] = [];
  readonly names: string[] = [];
  constructor(readonly url: URL) {
    DeafSource.made.push(this);
  }
  addEventListener(name: string): void {
    this.names.push(name);
  }
  close(): void {}
}

describe('a follower', () => {
  it('tells an EventSource the names of handlers that come later, without another connection', async () => {
    vi.stubGlobal('EventSource', DeafSource);
    const { node } = fake();
    const { createClient } = await import('../../src/index.ts');
    const client = createClient({ url: node.url, transport: 'eventsource' });
    const follow = createFollower(client as unknown as AnyClient);
    follow('a', {});
    await until(() => DeafSource.made.length === 1);
    const follower: AnyHandlers = { later() {} };
    follow('a', follower);
    expect(DeafSource.made[0]?.names).toContain('later');
    expect(DeafSource.made).toHaveLength(1);
    client.close();
    vi.unstubAllGlobals();
  });

  it('keeps its topics when the application changes the list that it gave', async () => {
    const { node, client } = fake();
    const follow = createFollower(client as unknown as AnyClient);
    const topics = ['a'];
    follow(topics, {});
    topics.push('b');
    follow(topics, {});
    await until(() => node.streams.some(({ request }) => request.topics.includes('b')));
  });
});

describe('the key of a store', () => {
  const options = { load: async () => 0, apply: (state: number) => state };

  it('is the same for the same topics in any order, and another for other topics or another queue', () => {
    expect(storeKey({ ...options, topics: 'a' })).toBe(storeKey({ ...options, topics: ['a'] }));
    expect(storeKey({ ...options, topics: ['b', 'a'] })).toBe(storeKey({ ...options, topics: ['a', 'b'] }));
    const others = [['a', 'b'], ['a,b'], ['a"', '"b'], [], 'b'].map((topics) => storeKey({ ...options, topics }));
    expect(new Set([...others, storeKey({ ...options, topics: 'a' }), storeKey({ ...options, topics: 'a', queue: 5 }), storeKey(null)]).size).toBe(8);
  });
});
