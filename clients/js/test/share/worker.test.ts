import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import '../../src/share/worker.ts';
import { VERSION } from '../../src/share/messages.ts';
import { DEAD_MS } from '../../src/share/heartbeat.ts';
import { until } from '../support/server.ts';
import { smallNode } from '../support/node.ts';
import { jwt, server } from '../support/setup.ts';
import { leader, left, messages, useTabs, Worker } from '../support/tabs.ts';
import { node, numbers, openTab, type OpenTab } from './support.ts';

useTabs(true);

function open(worker: Worker, url: string, topics = 't', options: Parameters<typeof openTab>[2] = {}): OpenTab {
  // A worker has its own `fetch`.
  return openTab(url, topics, { fetch: undefined as never, worker: () => worker.connect(), ...options });
}

const follow = (tabs: OpenTab[]): Promise<unknown> => until(() => tabs.every(({ role }) => role() === 'follower'), 'all follow');

async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 500) {
    vi.advanceTimersByTime(500);
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('tabs that share by a worker', () => {
  it('have one stream, that of the worker; no tab leads', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    const tabs = [1, 2, 3, 4].map(() => open(worker, url));
    await follow(tabs);
    for (const number of numbers(1, 50)) small.publish('t', number);
    await until(() => tabs.every(({ seen }) => seen.length === 50));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([numbers(1, 50), []]);
    expect(small.streams).toHaveLength(1);
    expect(leader()).toBeUndefined();
  });

  it('are forgotten when they are gone, although no port says so', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    const tabs = [open(worker, url, 'a'), open(worker, url, 'b'), open(worker, url, 'c')];
    await follow(tabs);
    tabs[1]!.tab.kill();
    await until(() => small.streams.length === 1 && small.streams[0]?.url.search === '?topic=a&topic=c&with=topic');
    // Nothing is sent to it any longer.
    messages.length = 0;
    await pass(2_000);
    expect(messages.filter(({ from, data }) => from === worker.tab && data.kind === 'beat').length).toBeLessThanOrEqual(2);
    tabs[0]!.tab.kill();
    tabs[2]!.tab.run(() => tabs[2]!.made.close());
    await until(() => small.streams.length === 0);
    await until(() => left().locks.length === 0);
  });

  it('have other streams for another user or address', async () => {
    const { url, small } = await node();
    const other = await node();
    const worker = new Worker();
    const tabs = [open(worker, url), open(worker, url, 't', { share: 'user 8' }), open(worker, other.url)];
    await follow(tabs);
    expect([small.streams.length, other.small.streams.length]).toEqual([2, 1]);
  });

  it('call the token function of one of them, and of another one if that is gone', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    let hangs = true;
    const token = vi.fn(() => (hangs ? new Promise<string>(() => {}) : Promise.resolve('T')));
    const tabs = [open(worker, url, 't', { token }), open(worker, url, 't', { token })];
    await until(() => token.mock.calls.length === 1);
    const asked = messages.find(({ data }) => data.kind === 'call')?.data.id;
    const hello = messages.find(({ data }) => data.kind === 'hello' && data.id === asked);
    hangs = false;
    const gone = tabs.find(({ tab }) => tab === hello?.from)!;
    gone.tab.kill();
    const rest = tabs.filter((each) => each !== gone);
    await follow(rest);
    expect(small.streams[0]?.headers.authorization).toBe('Bearer T');
    expect(token).toHaveBeenCalledTimes(2);
  });

  it('get another token by refreshToken in any of them, and are told when it fails', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    let number = 0;
    const token = vi.fn(() => {
      if (number === 2) throw new Error('signed out');
      return jwt({ exp: Date.now() / 1_000 + 600, number: ++number });
    });
    const tabs = [open(worker, url, 't', { token }), open(worker, url, 't', { token })];
    await follow(tabs);
    const before = small.streams[0]?.headers.authorization;
    await tabs[1]!.tab.run(() => tabs[1]!.made.refreshToken());
    await until(() => small.streams.length === 1 && small.streams[0]?.headers.authorization !== before);
    await expect(tabs[0]!.tab.run(() => tabs[0]!.made.refreshToken())).rejects.toThrow('signed out');
    expect(token).toHaveBeenCalledTimes(3);
  });

  it('publish with the token of the worker', async () => {
    const { url } = await node();
    const worker = new Worker();
    const token = vi.fn(() => 'T');
    const tabs = [open(worker, url, 't', { token }), open(worker, url, 't', { token })];
    await follow(tabs);
    for (const { tab, made } of tabs) await tab.run(() => made.publish('t', 'x'));
    expect(token).toHaveBeenCalledTimes(1);
  });

  it('publish with the token of the new session after refreshToken in another one', async () => {
    const started = await server();
    const small = smallNode(started);
    const worker = new Worker();
    let number = 0;
    const token = vi.fn(() => `T${++number}`);
    const tabs = [open(worker, started.url, 't', { token }), open(worker, started.url, 't', { token })];
    await follow(tabs);
    const [one, two] = tabs as [OpenTab, OpenTab];
    await one.tab.run(() => one.made.publish('t', 'x'));
    await two.tab.run(() => two.made.refreshToken());
    await until(() => small.streams[0]?.headers.authorization === 'Bearer T2');
    await one.tab.run(() => one.made.publish('t', 'x'));
    const posts = started.exchanges.filter(({ method }) => method === 'POST');
    expect(posts.map(({ headers }) => headers.authorization)).toEqual(['Bearer T1', 'Bearer T2']);
  });

  it('leave when they are left, and read what they have missed', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    const tabs = [open(worker, url), open(worker, url)];
    await follow(tabs);
    small.publish('t', '1');
    await until(() => tabs.every(({ seen }) => seen.length === 1));
    tabs[0]!.tab.say('pagehide');
    small.publish('t', '2');
    await until(() => tabs[1]!.seen.length === 2);
    tabs[0]!.tab.say('pageshow');
    await until(() => tabs[0]!.seen.length === 2);
    small.publish('t', '3');
    await until(() => tabs[0]!.seen.length === 3);
    await follow(tabs);
    await until(() => small.streams.length === 1);
  });

  it('have streams of their own while the worker is silent, and share again when it speaks', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    const tabs = [open(worker, url), open(worker, url)];
    await follow(tabs);
    worker.tab.frozen = true;
    await pass(DEAD_MS + 2_000);
    await until(() => tabs.every(({ role }) => role() === 'own'));
    small.publish('t', '1');
    await until(() => tabs.every(({ seen }) => seen.length === 1));
    worker.tab.thaw();
    await pass(4_000);
    small.publish('t', '2');
    await until(() => tabs.every(({ seen }) => seen.length === 2));
    await follow(tabs);
    await until(() => small.streams.length === 1);
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([['1', '2'], []]);
  });

  it('of another version have streams of their own, and say why', async () => {
    const { url } = await node();
    const worker = new Worker();
    const made = open(worker, url, 't', {
      worker() {
        const shared = worker.connect();
        const post = shared.port.postMessage.bind(shared.port);
        shared.port.postMessage = (data: { kind: string }) => post(data.kind === 'open' ? { ...data, version: '9.9.9' } : data);
        return shared;
      },
    });
    await until(() => made.role() === 'own');
    expect(made.log.filter(({ kind }) => kind === 'share').map(({ detail }) => detail)).toEqual([
      `own stream: the worker has version ${VERSION}, this page ${VERSION}`,
    ]);
  });

  it('whose worker fails have streams of their own', async () => {
    const { url } = await node();
    const worker = new Worker();
    let shared: SharedWorker | undefined;
    worker.tab.frozen = true;
    const made = open(worker, url, 't', { worker: () => (shared = worker.connect()) });
    await until(() => shared && left().locks.length);
    made.tab.run(() => shared?.dispatchEvent(new Event('error')));
    await until(() => made.role() === 'own');
  });
});

describe('the version of messages', () => {
  it('is that of the package', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
    expect(VERSION).toBe(version);
  });
});
