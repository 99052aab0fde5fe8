import { describe, expect, it, vi } from 'vitest';
import { DEAD_MS } from '../../src/share/heartbeat.ts';
import { VERSION } from '../../src/share/messages.ts';
import { until } from '../support/server.ts';
import { bound, leader, left, messages, nextLeader, silence, Tab, useTabs } from '../support/tabs.ts';
import { allOpen, leads, node, numbers, openTab, openTabs, type OpenTab } from './support.ts';

useTabs(true);

/** Time passes for the timers of rooms, and messages arrive meanwhile. */
async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 500) {
    vi.advanceTimersByTime(500);
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a leader', () => {
  it('says every 2 s that it is there, with its cursor', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const last = small.publish('t', '1');
    await until(() => tabs.every(({ seen }) => seen.length));
    messages.length = 0;
    await pass(6_000);
    const beats = messages.filter(({ data }) => data.kind === 'beat');
    expect(beats.length).toBeGreaterThanOrEqual(3);
    expect(beats.at(-1)?.data.streams).toMatchObject({ joined: { place: { cursor: last, safe: last }, start: last, open: ['t'], status: { state: 'open' } } });
  });

  it('says nothing of streams that no tab wants any longer, nor does the next one', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const first = leads(tabs);
    const { tab, made } = tabs.find((each) => each !== first)!;
    const streams = (from: Tab): string[][] =>
      messages.filter((each) => each.from === from && each.data.kind === 'beat').map(({ data }) => Object.keys(data.streams as object));
    for (const number of numbers(1, 5)) {
      const subscription = tab.run(() => made.subscribe(`rooms/${number}/{any}`, {}));
      await until(() => subscription.status.state === 'open');
      subscription.close();
    }
    await until(() => small.streams.length === 1);
    await pass(4_000);
    expect(streams(first.tab).at(-1)).toEqual(['joined']);
    first.tab.kill();
    await until(() => streams(tab).length);
    expect(streams(tab)[0]).toEqual(['joined']);
  });

  it('that does not run is replaced by a visible follower, which reads from its own cursor', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 3);
    const zombie = leads(tabs);
    small.publish('t', '1');
    await until(() => tabs.every(({ seen }) => seen.length === 1));
    zombie.tab.frozen = true;
    for (const number of numbers(2, 9)) small.publish('t', number);
    await pass(DEAD_MS + 2_000);
    const rest = tabs.filter((each) => each !== zombie);
    await until(() => rest.every(({ seen }) => seen.length === 9));
    expect(rest.map(({ role }) => role()).sort()).toEqual(['follower', 'leader']);
    // It learns it when it runs again.
    zombie.tab.thaw();
    await until(() => zombie.role() === 'follower');
    small.publish('t', '10');
    await until(() => tabs.every(({ seen }) => seen.length === 10));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([numbers(1, 10), []]);
    expect(small.streams).toHaveLength(1);
  });

  it('that ran on alone, further than its successor began, hands nothing over twice', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const zombie = leads(tabs);
    const other = tabs.find((each) => each !== zombie)!;
    small.publish('t', '1');
    small.publish('t', '2', 'order-2');
    await until(() => tabs.every(({ seen }) => seen.length === 2));
    zombie.tab.frozen = true;
    await pass(DEAD_MS + 2_000);
    await until(() => other.role() === 'leader');
    // The last id of the node's own is that of the first event.
    small.publish('t', '3', 'order-3');
    await until(() => tabs.every(({ seen }) => seen.length === 3));
    zombie.tab.thaw();
    await until(() => zombie.role() === 'follower');
    small.publish('t', '4');
    await until(() => tabs.every(({ seen }) => seen.includes('4')));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([numbers(1, 4), []]);
  });

  it('that goes on from far back tells nobody what is older than what they asked for', async () => {
    const { url, small } = await node();
    const [first, back] = (await openTabs(url, 2)) as [OpenTab, OpenTab];
    small.publish('t', '1');
    await until(() => back.seen.length);
    back.tab.say('pagehide');
    small.publish('t', '2');
    small.publish('t', '3', 'order-3');
    await until(() => first.seen.length === 3);
    // It is the next to lead, and does not get on.
    small.hold('t');
    back.tab.say('pageshow');
    await until(() => nextLeader() === back.tab);
    const young = openTab(url);
    await until(() => young.role() === 'follower');
    first.tab.kill();
    await until(() => back.role() === 'leader');
    small.release();
    const last = small.publish('t', '4');
    await until(() => back.seen.length === 4 && young.made.cursor === last);
    // An id of a publisher's own has no order of which a client knows.
    expect([back.seen, young.seen.filter((number) => number !== '3')]).toEqual([numbers(1, 4), ['4']]);
  });

  it('that does not run is not replaced by a hidden follower until it is shown', async () => {
    const { url } = await node();
    const tabs = await openTabs(url, 2);
    const zombie = leads(tabs);
    const follower = tabs.find((each) => each !== zombie)!;
    follower.tab.show('hidden');
    zombie.tab.frozen = true;
    await pass(DEAD_MS + 20_000);
    expect(leader()).toBe(zombie.tab);
    follower.tab.show('visible');
    await pass(4_000);
    await until(() => follower.role() === 'leader');
  });

  it('whose timers are slow because it is hidden is asked, and stays', async () => {
    const { url } = await node();
    const tabs = await openTabs(url, 2);
    const first = leads(tabs);
    // Its timers do not fire.
    silence.add(first.tab);
    await pass(30_000);
    expect(leader()).toBe(first.tab);
    expect(messages.filter(({ data }) => data.kind === 'ping').length).toBeGreaterThan(3);
  });

  it('is not replaced because the computer slept', async () => {
    const { url } = await node();
    const tabs = await openTabs(url, 3);
    const first = leads(tabs);
    vi.setSystemTime(Date.now() + 3_600_000);
    for (const { tab } of tabs) tab.say('visibilitychange');
    await pass(8_000);
    expect(leader()).toBe(first.tab);
    expect(tabs.flatMap(({ log }) => log).filter(({ detail }) => detail === 'the leader is silent')).toEqual([]);
  });

  it('that hears of a later leader follows it, even before its lock says so', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const first = leads(tabs);
    const follower = tabs.find((each) => each !== first)!;
    first.tab.frozen = true;
    await pass(DEAD_MS + 2_000);
    await until(() => follower.role() === 'leader');
    // The loss of the lock is the last that it hears.
    first.tab.waiting.push(first.tab.waiting.shift()!);
    first.tab.thaw();
    await until(() => first.role() === 'follower' && small.streams.length === 1);
  });

  it('is found even if two tabs steal the lock at once, and the second says the lower term', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 3);
    const zombie = leads(tabs);
    let value = 0.99;
    vi.spyOn(Math, 'random').mockImplementation(() => (value = Math.max(0, value - 0.01)));
    const rest = tabs.filter((each) => each !== zombie);
    const [one, two] = rest as [(typeof tabs)[0], (typeof tabs)[0]];
    zombie.tab.frozen = true;
    silence.add(two.tab);
    await pass(DEAD_MS - 500);
    for (let step = 0; step < 10 && !one.log.some(({ detail }) => detail === 'the leader is silent'); step++) vi.advanceTimersByTime(500);
    // The second looks at its clock between the theft and the first word of the thief.
    await until(() => one.log.at(-1)?.detail === 'leader' || leader() === one.tab);
    two.tab.say('visibilitychange');
    await until(() => rest.map(({ role }) => role()).sort().join() === 'follower,leader');
    small.publish('t', '1');
    await until(() => rest.every(({ seen }) => seen.length === 1));
  });

  it('that hears of a later one lets go of its lock, and whoever leads next is later than both', async () => {
    const { url, small } = await node();
    const [tab] = await openTabs(url, 1);
    const term = Date.now() + 3_600_000;
    // Another thief of the lock, which has lost it meanwhile.
    const name = `fantail ${VERSION} ${url} user 7`;
    new Tab().run(() => new BroadcastChannel(name).postMessage({ kind: 'beat', term, first: false, members: {}, streams: {} }));
    // No time passes: nothing but the lock says that there is no leader.
    await until(() => tab!.log.filter(({ kind }) => kind === 'share').map(({ detail }) => detail).join() === 'leader,follower,leader');
    await until(() => tab!.role() === 'leader' && small.streams.length === 1);
    expect(messages.filter(({ data }) => data.kind === 'beat').at(-1)?.data.term).toBeGreaterThan(term);
  });

  it('is later than the one before, and than another one of the same moment', async () => {
    const { url } = await node();
    const [tab] = await openTabs(url, 1);
    const terms = (): number[] => [...new Set(messages.filter(({ data }) => data.kind === 'beat').map(({ data }) => Number(data.term)))];
    const name = `fantail ${VERSION} ${url} user 7`;
    const before = Date.now() + 3_600_000;
    const other = new Tab().run(() => new BroadcastChannel(name));
    for (const [index, value] of [0.25, 0.75].entries()) {
      vi.spyOn(Math, 'random').mockReturnValue(value);
      other.postMessage({ kind: 'beat', term: before + index, first: false, members: {}, streams: {} });
      await until(() => terms().length === 2 * index + 3 && tab!.role() === 'leader');
    }
    expect(terms().slice(1)).toEqual([before, before + 0.75, before + 1, before + 1.25]);
  });

  it('that is dead is replaced although the clock was set back', async () => {
    const { url } = await node();
    const tabs = await openTabs(url, 2);
    const zombie = leads(tabs);
    const other = tabs.find((each) => each !== zombie)!;
    zombie.tab.frozen = true;
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(DEAD_MS + 4_000);
    await until(() => other.role() === 'leader');
  });

  it.each([
    ['any lock', / /, DEAD_MS],
    // It is stolen in vain before.
    ['the lock of the leader', /^fantail \d/, 2 * DEAD_MS],
  ])('that no tab becomes, because the browser does not answer requests for %s, is done without', async (_, silent, time) => {
    const { url, small } = await node();
    const { locks } = navigator;
    const held: (() => void)[] = [];
    const request = (name: string, ...rest: [never]): Promise<unknown> =>
      silent.test(name)
        ? new Promise((resolve, reject) => held.push(bound(() => locks.request(name, ...rest).then(resolve, reject))))
        : locks.request(name, ...rest);
    vi.stubGlobal('navigator', { onLine: true, locks: { request } });
    const tabs = [openTab(url, 't', { token: () => 'T' }), openTab(url)];
    await pass(time + 4_000);
    await until(() => tabs.every(({ role }) => role() === 'own'));
    small.publish('t', '1');
    await until(() => tabs.every(({ seen }) => seen.length === 1));
    for (const { log } of tabs) {
      const lines = log.filter(({ kind }) => kind === 'share').map(({ detail }) => detail);
      expect(lines.at(-1)).toBe('own stream: the locks are silent');
    }
    // It answers after all.
    for (const call of held.splice(0)) call();
    vi.stubGlobal('navigator', { onLine: true, locks });
    await pass(4_000);
    await allOpen(tabs);
    await until(() => small.streams.length === 1);
    small.publish('t', '2');
    await until(() => tabs.every(({ seen }) => seen.length === 2));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([['1', '2'], []]);
  });

  it('forgets tabs that are gone, whether they say so or not', async () => {
    const { url, small } = await node();
    const stays = openTab(url, 'a');
    await until(() => stays.role() === 'leader');
    const goes = [openTab(url, 'b'), openTab(url, 'c')];
    await allOpen([stays, ...goes]);
    goes[0]!.tab.kill();
    goes[1]!.tab.say('pagehide');
    await until(() => small.streams.length === 1 && small.streams[0]?.url.search === '?topic=a&with=topic');
    const beat = (): object => (messages.filter(({ data }) => data.kind === 'beat').at(-1)?.data.members ?? {}) as object;
    await pass(2_000);
    expect(Object.keys(beat())).toHaveLength(1);
    expect(left().channels).toBe(1);
  });
});
