import { describe, expect, it, vi } from 'vitest';
import { until } from '../support/server.ts';
import { client } from '../support/setup.ts';
import { left, leader, useTabs } from '../support/tabs.ts';
import { allOpen, leads, node, numbers, openTab, openTabs } from './support.ts';

useTabs();

describe('a page that shares', () => {
  it.each(['pagehide', 'freeze'])('lets everything go when it is left (%s), and another one leads', async (name) => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const first = leads(tabs);
    const other = tabs.find((each) => each !== first)!;
    first.tab.say(name);
    expect(first.made.status).toEqual({ state: 'waiting', attempt: 1, at: Infinity, why: 'hidden' });
    await until(() => other.role() === 'leader');
    await until(() => left().channels === 1 && left().locks.length === 2);
    await until(() => small.streams.length === 1);
    small.publish('t', '1');
    await until(() => other.seen.length === 1);
    first.tab.say(name === 'pagehide' ? 'pageshow' : 'resume');
    await until(() => first.seen.length === 1);
    small.heartbeat();
    await until(() => first.role() === 'follower' && small.streams.length === 1);
  });

  it('that is alone opens nothing while it is away, and goes on from its cursor', async () => {
    const { url, small } = await node();
    const { tab, made, seen, gaps, role } = openTab(url);
    await until(() => role() === 'leader');
    small.publish('t', '1');
    await until(() => seen.length === 1);
    tab.say('pagehide');
    await until(() => small.streams.length === 0 && left().locks.length === 0);
    small.publish('t', '2');
    tab.run(() => made.subscribe('u', {}));
    tab.say('online');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(small.streams).toHaveLength(0);
    tab.say('pageshow');
    await until(() => role() === 'leader' && seen.length === 2);
    expect([seen, gaps]).toEqual([['1', '2'], []]);
  });

  it('that is shown for the first time, or shown again, keeps what it has', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const { connects } = small;
    for (const { tab } of tabs) {
      tab.say('pageshow');
      tab.show('hidden');
      tab.show('visible');
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    await allOpen(tabs);
    expect(small.connects).toBe(connects);
  });

  it('that is hidden leaves with `hidden: pause`, and reads what it has missed when it is shown', async () => {
    const { url, small } = await node();
    const tabs = [openTab(url, 't', { hidden: 'pause' }), openTab(url, 't', { hidden: 'pause' })];
    await allOpen(tabs);
    const [first, other] = leads(tabs) === tabs[0] ? tabs : [...tabs].reverse();
    first!.tab.show('hidden');
    await until(() => other!.role() === 'leader');
    for (const number of numbers(1, 5)) small.publish('t', number);
    await until(() => other!.seen.length === 5);
    first!.tab.show('visible');
    await until(() => first!.role() === 'follower' && first!.seen.length === 5);
  });

  it('that is off line says so in every tab', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 3);
    vi.stubGlobal('navigator', { locks: navigator.locks, onLine: false });
    small.cut();
    await until(() => tabs.every(({ made }) => made.status.state === 'waiting'));
    for (const { made } of tabs) expect(made.status).toMatchObject({ why: 'offline', at: Infinity });
    vi.stubGlobal('navigator', { locks: navigator.locks, onLine: true });
    vi.spyOn(Math, 'random').mockReturnValue(0.01);
    for (const { tab } of tabs) tab.say('online');
    await allOpen(tabs);
  });

  it('without Web Locks has its own stream, and says so once', async () => {
    const { url, small } = await node();
    vi.stubGlobal('navigator', { onLine: true });
    const tabs = [openTab(url), openTab(url)];
    await until(() => tabs.every(({ role }) => role() === 'own'));
    expect(small.streams).toHaveLength(2);
    for (const { log } of tabs) {
      const lines = log.filter(({ kind }) => kind === 'share').map(({ detail }) => detail);
      expect(lines).toEqual(['own stream: Error: there are no Web Locks; they need https or localhost']);
    }
  });

  it('whose locks are refused has its own stream', async () => {
    const { url } = await node();
    const request = (): Promise<never> => Promise.reject(new DOMException('no', 'SecurityError'));
    vi.stubGlobal('navigator', { onLine: true, locks: { request } });
    const { role, log } = openTab(url, 't', { token: () => 'T' });
    await until(() => role() === 'own');
    expect(log.filter(({ kind }) => kind === 'share')).toHaveLength(1);
    expect(leader()).toBeUndefined();
  });

  it('whose request to lead fails for another reason does not ask again and again', async () => {
    const { url } = await node();
    const { locks } = navigator;
    const request = vi.fn((name: string, ...rest: [never]) =>
      /^fantail \d/.test(name) ? Promise.reject(new DOMException('no', 'InvalidStateError')) : locks.request(name, ...rest),
    );
    vi.stubGlobal('navigator', { onLine: true, locks: { request } });
    const { role } = openTab(url);
    await until(() => role() === 'own');
    expect(request).toHaveBeenCalledTimes(2);
  });

  it('opens nothing, and asks for no lock, before its first subscription', async () => {
    const { url } = await node();
    client({ url, share: 'x' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(left()).toEqual({ locks: [], channels: 0, ports: 0 });
  });

  it.each([
    [{ share: '' }, '`share` is ; it must be false or a text of 1 to 200 characters that says who the user is'],
    [{ share: 'x'.repeat(201) }, '`share` is'],
    [{ share: 7 as never }, '`share` is 7'],
    [{ share: 'x', transport: 'eventsource' as const }, '`transport` is eventsource; it must be fetch with `share`'],
    [{ worker: () => null as never }, '`worker` is'],
    [{ share: 'x', worker: () => null as never, headers: () => ({}) }, 'without `fetch` and a function as `headers`'],
    [{ share: 'x', worker: () => null as never, fetch }, 'without `fetch` and a function as `headers`'],
  ])('with wrong options is told so: %o', (options, message) => {
    expect(() => client({ url: 'http://127.0.0.1:1/', ...options })).toThrow(message);
  });

  it('with `share: false` is as without', async () => {
    const { url } = await node();
    const { role } = openTab(url, 't', { share: false });
    await until(() => role() === 'own');
    expect(left().locks).toEqual([]);
  });
});
