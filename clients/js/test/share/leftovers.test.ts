import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import '../../src/share/worker.ts';
import type { Runtime } from '../../src/connection.ts';
import type { Link } from '../../src/share/link.ts';
import { until } from '../support/server.ts';
import { left, messages, mostListeners, useTabs, Worker } from '../support/tabs.ts';
import { allOpen, node, openTab, openTabs, type OpenTab } from './support.ts';

useTabs();

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What each room in the worker has until it is gone. */
const inWorker = vi.hoisted(() => [] as WeakRef<Runtime>[]);

vi.mock(import('../../src/share/room.ts'), async (load) => {
  const { createRoom } = await load();
  return {
    createRoom(runtime, source, link: Link) {
      if (link.gone) inWorker.push(new WeakRef(runtime));
      return createRoom(runtime, source, link);
    },
  };
});

beforeEach(() => void (inWorker.length = 0));

describe('tabs that share', () => {
  it('wait for each other with one listener for each, however many there are', async () => {
    const { url } = await node();
    const tabs = await openTabs(url, 15);
    for (const { tab } of tabs.splice(1, 10)) tab.kill();
    for (const { tab, made } of tabs.splice(1, 2)) tab.run(() => made.close());
    await allOpen(tabs);
    // Each tab has a lock of its own, waits for the one of the leader, and the leader waits for all.
    await until(() => left().locks.length === 2 * tabs.length + tabs.length - 1);
    expect(mostListeners()).toBe(1);
  });

  it('by a worker keep their port while they are away, and close it with their client', async () => {
    const { url } = await node();
    const worker = new Worker();
    const tabs = [1, 2].map(() => openTab(url, 't', { fetch: undefined as never, worker: () => worker.connect() }));
    await until(() => tabs.every(({ role }) => role() === 'follower'));
    const [first, second] = tabs as [OpenTab, OpenTab];
    first.tab.say('pagehide');
    second.subscription.close();
    await until(() => left().locks.length === 0);
    expect(left().ports).toBe(4);
    first.tab.say('pageshow');
    await until(() => first.role() === 'follower');
    first.tab.run(() => first.made.close());
    await until(() => left().ports === 2);
    second.tab.run(() => second.made.close());
    await until(() => left().ports === 0);
    await until(() => left().locks.length === 0);
  });

  it.each(['leave', 'are closed'])('by a worker end the call of their token function when they %s', async (way) => {
    const { url } = await node();
    const worker = new Worker();
    const calls: { signal: AbortSignal; resolve(token: string): void; reject(error: unknown): void }[] = [];
    const token = (_: string, signal: AbortSignal): Promise<string> =>
      new Promise((resolve, reject) => calls.push({ signal, resolve, reject }));
    const options = { fetch: undefined as never, worker: () => worker.connect(), token };
    const first = openTab(url, 't', options);
    await until(() => calls.length === 1);
    const second = openTab(url, 't', options);
    await until(() => left().locks.length === 4);
    first.tab.run(() => (way === 'leave' ? first.tab.say('pagehide') : first.made.close()));
    await until(() => calls.length === 2);
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    if (way === 'leave') {
      first.tab.say('pageshow');
      await until(() => left().locks.length === 4);
    }
    // What it answers in spite of that is not the answer of the tab that was asked afterwards.
    calls[0]?.reject(new Error('too late'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    calls[1]?.resolve('T');
    await until(() => second.role() === 'follower');
    expect(calls).toHaveLength(2);
  });

  it('by a worker call their token function once at a time', async () => {
    const { url } = await node();
    const worker = new Worker();
    const signals: AbortSignal[] = [];
    let shared: SharedWorker | undefined;
    const token = (_: string, signal: AbortSignal): Promise<string> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const { tab } = openTab(url, 't', { fetch: undefined as never, worker: () => (shared = worker.connect()), token });
    await until(() => signals.length === 1);
    // The worker has waited for as long as it does, and asks again.
    const call = messages.find(({ data }) => data.kind === 'call')?.data;
    tab.run(() => shared?.port.onmessage?.({ data: call } as MessageEvent));
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  });

  it('by a worker leave nothing in it, although a port stays open', async () => {
    const { url, small } = await node();
    const worker = new Worker();
    const options = { fetch: undefined as never, worker: () => worker.connect() };
    const tabs = [openTab(url, 't', options), openTab(url, 't', options)] as const;
    await until(() => tabs.every(({ role }) => role() === 'follower'));
    const token = vi.fn(() => new Promise<string>(() => {}));
    const waiting = openTab(url, 't', { ...options, token });
    await until(() => token.mock.calls.length === 1);
    expect(inWorker).toHaveLength(2);
    tabs[0].subscription.close();
    tabs[1].tab.kill();
    waiting.tab.kill();
    await until(() => small.streams.length === 0 && left().locks.length === 0);
    expect(left().ports).toBe(6);
    await until(() => {
      collect();
      return inWorker.every((room) => !room.deref());
    });
  });
});
