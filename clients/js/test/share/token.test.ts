import { afterEach, describe, expect, it, vi } from 'vitest';
import { jwt, server } from '../support/setup.ts';
import { until } from '../support/server.ts';
import { smallNode } from '../support/node.ts';
import { messages, useTabs } from '../support/tabs.ts';
import { allOpen, leads, node, openTab, type OpenTab } from './support.ts';

useTabs();

afterEach(() => {
  vi.useRealTimers();
});

async function withTokens(count: number, life = 600) {
  const { url, small } = await node();
  let number = 0;
  const token = vi.fn((_why: string): Promise<string | null> =>
    Promise.resolve(jwt({ exp: Date.now() / 1_000 + life, number: ++number })),
  );
  const tabs = Array.from({ length: count }, () => openTab(url, 't', { token }));
  await allOpen(tabs);
  return { url, small, token, tabs };
}

const followers = (tabs: OpenTab[]): OpenTab[] => tabs.filter((each) => each !== leads(tabs));

describe('the token of tabs that share', () => {
  it('is asked for by the leader alone, once', async () => {
    const { token } = await withTokens(5);
    expect(token.mock.calls.map(([why]) => why)).toEqual(['first']);
  });

  it('is the one with which every tab publishes', async () => {
    const started = await server();
    const small = smallNode(started);
    const token = vi.fn(() => 'T');
    const tabs = [1, 2, 3].map(() => openTab(started.url, 't', { token }));
    await allOpen(tabs);
    await Promise.all(tabs.map(({ tab, made }) => tab.run(() => made.publish('t', 'x'))));
    const posts = started.exchanges.filter(({ method }) => method === 'POST');
    expect(posts.map(({ headers }) => headers.authorization)).toEqual(Array(3).fill('Bearer T'));
    expect(token).toHaveBeenCalledTimes(1);
    expect(small.streams).toHaveLength(1);
  });

  it('is never sent to tabs that do not need one', async () => {
    await withTokens(4);
    expect(messages.filter(({ data }) => data.kind === 'token')).toEqual([]);
  });

  it('is renewed by the leader, and the stream is replaced without a loss', async () => {
    const { small, token, tabs } = await withTokens(3, 0.8);
    for (const number of ['1', '2', '3', '4', '5', '6']) {
      small.publish('t', number);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await until(() => tabs.every(({ seen }) => seen.length === 6));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([['1', '2', '3', '4', '5', '6'], []]);
    expect(token.mock.calls.length).toBeGreaterThanOrEqual(2);
    expect(token.mock.calls.length).toBeLessThanOrEqual(4);
    expect(small.most).toBeLessThanOrEqual(2);
  });

  it('is another one for all tabs after refreshToken in any of them', async () => {
    const { small, token, tabs } = await withTokens(3);
    const before = small.streams[0]?.headers.authorization;
    const follower = followers(tabs)[0]!;
    await follower.tab.run(() => follower.made.refreshToken());
    await until(() => small.streams.length === 1 && small.streams[0]?.headers.authorization !== before);
    await allOpen(tabs);
    expect(token.mock.calls.map(([why]) => why)).toEqual(['first', 'first']);
    const first = leads(tabs);
    await first.tab.run(() => first.made.refreshToken());
    await allOpen(tabs);
    expect(token).toHaveBeenCalledTimes(3);
    small.publish('t', '1');
    await until(() => tabs.every(({ seen }) => seen.length === 1));
  });

  it('opens streams again that were refused, after refreshToken in any tab', async () => {
    const { small, tabs } = await withTokens(3);
    small.refuse(403);
    small.cut();
    await until(() => tabs.every(({ made }) => made.status.state === 'closed'));
    small.refuse(200);
    const follower = followers(tabs)[0]!;
    await follower.tab.run(() => follower.made.refreshToken());
    await allOpen(tabs);
  });

  it('that a follower was refused is not given to it again', async () => {
    const started = await server();
    let number = 0;
    const token = vi.fn((_why: string) => `T${++number}`);
    const refused = new Set<string>();
    started.each((exchange) => {
      if (exchange.method === 'GET') exchange.prime('x-1');
      else if (refused.has(String(exchange.headers.authorization))) exchange.answer(401);
      else exchange.answer(200, { id: 'x', subscribers: 0 });
    });
    const tabs = [openTab(started.url, 't', { token }), openTab(started.url, 't', { token })];
    await allOpen(tabs);
    const follower = followers(tabs)[0]!;
    await follower.tab.run(() => follower.made.publish('t', 'x'));
    refused.add('Bearer T1');
    await follower.tab.run(() => follower.made.publish('t', 'x'));
    expect(token.mock.calls.map(([why]) => why)).toEqual(['first', 'refused']);
  });

  it('function of the leader that fails is told to who asked', async () => {
    const { url } = await node();
    let calls = 0;
    const token = (): string => {
      if (++calls > 1) throw new Error('signed out');
      return jwt({ exp: Date.now() / 1_000 + 600 });
    };
    const tabs = [openTab(url, 't', { token }), openTab(url, 't', { token })];
    await allOpen(tabs);
    const follower = followers(tabs)[0]!;
    await expect(follower.tab.run(() => follower.made.refreshToken())).rejects.toThrow('signed out');
  });

  it('is asked for anew by the next leader if the one that was asked is gone', async () => {
    const { url } = await node();
    let hangs = false;
    const token = vi.fn(() => (hangs ? new Promise<string>(() => {}) : Promise.resolve('T')));
    const tabs = [openTab(url, 't', { token }), openTab(url, 't', { token }), openTab(url, 't', { token })];
    await allOpen(tabs);
    const first = leads(tabs);
    const [one] = followers(tabs) as [OpenTab];
    hangs = true;
    const refreshed = one.tab.run(() => one.made.refreshToken());
    await until(() => token.mock.calls.length === 2);
    hangs = false;
    first.tab.kill();
    await refreshed;
    tabs.splice(tabs.indexOf(first), 1);
    await allOpen(tabs);
  });

  it('is that of its own function for a page that is away: no leader hears it', async () => {
    const started = await server();
    smallNode(started);
    const token = vi.fn(() => 'L');
    const own = vi.fn(() => 'own');
    const first = openTab(started.url, 't', { token });
    await until(() => first.role() === 'leader');
    const hidden = openTab(started.url, 't', { token: own, hidden: 'pause' });
    await allOpen([first, hidden]);
    hidden.tab.show('hidden');
    await hidden.tab.run(() => hidden.made.publish('t', 'x'));
    expect(started.exchanges.at(-1)?.headers.authorization).toBe('Bearer own');
    expect(token).toHaveBeenCalledTimes(1);
  });

  it('is waited for no longer than the page is there', async () => {
    const started = await server();
    smallNode(started);
    let hangs = false;
    const token = vi.fn(() => (hangs ? new Promise<string>(() => {}) : Promise.resolve('L')));
    const first = openTab(started.url, 't', { token });
    await until(() => first.role() === 'leader');
    const own = vi.fn(() => 'own');
    const other = openTab(started.url, 't', { token: own });
    await allOpen([first, other]);
    hangs = true;
    const refreshed = other.tab.run(() => other.made.refreshToken());
    await until(() => token.mock.calls.length === 2);
    other.tab.say('pagehide');
    await refreshed;
    expect(own).toHaveBeenCalledTimes(1);
  });

  it('is had by tabs that only publish, which stay no longer than they need', async () => {
    const started = await server();
    const small = smallNode(started);
    const token = vi.fn(() => 'T');
    const one = openTab(started.url, 't', { token });
    await until(() => one.role() === 'leader');
    const other = openTab(started.url, 't', { token });
    other.subscription.close();
    await until(() => other.made.status.state === 'idle');
    await other.tab.run(() => other.made.publish('t', 'x'));
    expect(token).toHaveBeenCalledTimes(1);
    await until(() => one.seen.length === 0 && other.tab.listeners === 0);
    expect(small.streams).toHaveLength(1);
  });

  it('never reaches the log', async () => {
    const { url } = await node();
    const tabs = [1, 2].map(() => openTab(url, 't', { token: () => 'S3CRET' }));
    await allOpen(tabs);
    const follower = followers(tabs)[0]!;
    await follower.tab.run(() => follower.made.refreshToken());
    await allOpen(tabs);
    const lines = tabs.flatMap(({ log }) => log);
    expect(lines.length).toBeGreaterThan(4);
    expect(JSON.stringify(lines)).not.toContain('S3CRET');
  });
});
