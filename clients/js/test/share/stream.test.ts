import { describe, expect, it, vi } from 'vitest';
import { id } from '../support/setup.ts';
import { until } from '../support/server.ts';
import { leader, left, messages, nextLeader, useTabs } from '../support/tabs.ts';
import type { SmallNode } from '../support/node.ts';
import { allOpen, leads, node, numbers, openTab, openTabs, type OpenTab } from './support.ts';

useTabs();

/** A leader, and a tab that has heard one event and is away. */
async function openAndLeave(url: string, small: SmallNode): Promise<{ first: OpenTab; follower: OpenTab }> {
  const tabs = await openTabs(url, 2);
  const first = leads(tabs);
  const follower = tabs.find((each) => each !== first)!;
  small.publish('t', '1');
  await until(() => follower.seen.length === 1);
  follower.tab.say('pagehide');
  return { first, follower };
}

describe('tabs that share', () => {
  it('have one stream, and each hears each event once', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 8);
    for (const number of numbers(1, 200)) small.publish('t', number);
    await until(() => tabs.every(({ seen }) => seen.length >= 200));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([numbers(1, 200), []]);
    expect(small.streams).toHaveLength(1);
    expect(small.most).toBeLessThanOrEqual(2);
  });

  it('hear the topics that they want, and no others', async () => {
    const { url, small } = await node();
    const one = openTab(url, 'a');
    const two = openTab(url, ['b', 'both']);
    const three = openTab(url, ['a', 'both']);
    await allOpen([one, two, three]);
    small.publish('a', '1');
    small.publish('b', '2');
    small.publish(['a', 'b'], '3');
    small.publish('both', '4');
    await until(() => three.seen.includes('4') && two.seen.includes('4') && one.seen.length === 2);
    expect([one.seen, two.seen, three.seen]).toEqual([['1', '3'], ['2', '3', '4'], ['1', '3', '4']]);
    expect(small.streams).toHaveLength(1);
  });

  it('add a topic to the stream of the leader, and are open for it once the stream has it', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2, 'a');
    const follower = tabs.find((each) => each !== leads(tabs))!;
    const seen: string[] = [];
    const subscription = follower.tab.run(() => follower.made.subscribe('late', { message: (data) => void seen.push(data) }));
    expect(subscription.status.state).toBe('connecting');
    await until(() => subscription.status.state === 'open');
    expect(small.streams.at(-1)?.url.searchParams.getAll('topic')).toEqual(['a', 'late']);
    small.publish('late', 'x');
    await until(() => seen.length);
    subscription.close();
    await until(() => small.streams.length === 1 && small.streams[0]?.url.searchParams.getAll('topic').length === 1);
  });

  it('with other names, addresses or versions do not share', async () => {
    const { url, small } = await node();
    const other = await node();
    const tabs = [openTab(url), openTab(url, 't', { share: 'user 8' }), openTab(other.url)];
    await until(() => tabs.every(({ role }) => role() === 'leader'));
    expect([small.streams.length, other.small.streams.length]).toEqual([2, 1]);
    expect(left().locks.filter((name) => / 0\.1\.0 /.test(name))).toHaveLength(3);
  });

  it('share the streams of templates and lists, each by itself; a cursor of its own is never shared', async () => {
    const { url, small } = await node();
    const tabs = [openTab(url, '{x}'), openTab(url, '{x}')];
    await allOpen(tabs);
    expect(small.streams).toHaveLength(1);
    small.publish('{x}', '1');
    await until(() => tabs.every(({ seen }) => seen.length === 1));
    const seen: string[] = [];
    tabs[1]!.tab.run(() => tabs[1]!.made.subscribe('{x}', { message: (data) => void seen.push(data) }, { from: 'earliest' }));
    await until(() => seen.length === 1);
    expect(small.streams).toHaveLength(2);
  });

  it('follow the next leader when theirs is gone, and lose and double nothing', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 6);
    let number = 0;
    for (let round = 0; round < 5; round++) {
      const gone = leads(tabs);
      for (let step = 0; step < 40; step++) {
        small.publish('t', String(++number));
        if (step === 20) gone.tab.kill();
        if (step % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      }
      tabs.splice(tabs.indexOf(gone), 1);
      await allOpen(tabs);
    }
    await until(() => tabs.every(({ seen }) => seen.length >= number));
    for (const { seen, gaps } of tabs) expect([seen, gaps]).toEqual([numbers(1, number), []]);
    expect(small.streams).toHaveLength(1);
    expect(small.most).toBeLessThanOrEqual(2);
  });

  it('follow the next leader when theirs closes its client, and the new stream has all topics at once', async () => {
    const { url, small } = await node();
    const tabs = [openTab(url, 'a'), openTab(url, 'b'), openTab(url, 'c')];
    await allOpen(tabs);
    const first = leads(tabs);
    const before = small.connects;
    first.tab.run(() => first.made.close());
    tabs.splice(tabs.indexOf(first), 1);
    await allOpen(tabs);
    expect(small.connects).toBeGreaterThan(before);
    for (const topic of ['a', 'b', 'c']) small.publish(topic, topic);
    await until(() => tabs.every(({ seen }) => seen.length === 1));
    expect(small.streams).toHaveLength(1);
  });

  it('drop what they have had when the new leader begins before it', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 3);
    const first = leads(tabs);
    const [second, third] = tabs.filter((each) => each !== first) as [typeof first, typeof first];
    small.publish('t', '1');
    small.publish('t', 'own', 'order-17');
    await until(() => second.seen.length === 2 && third.seen.length === 2);
    // One of them does not run for a while, and is the one that leads then.
    const next = [second, third].find(({ tab }) => tab === nextLeader())!;
    const ahead = next === second ? third : second;
    next.tab.frozen = true;
    for (const number of numbers(3, 9)) small.publish('t', number, number === '6' ? 'order-18' : undefined);
    await until(() => ahead.seen.length === 9);
    // Its messages are lost with it, as if they had never been sent.
    next.tab.waiting.length = 0;
    first.tab.kill();
    next.tab.thaw();
    await until(() => next.role() === 'leader' && ahead.role() === 'follower');
    small.publish('t', '10');
    await until(() => ahead.seen.includes('10') && next.seen.includes('10'));
    const all = ['1', 'own', ...numbers(3, 10)];
    expect(ahead.seen).toEqual(all);
    expect(next.seen).toEqual(all);
  });

  it('that have only begun are not handed what the next leader has missed before', async () => {
    const { url, small } = await node();
    const { first, follower: back } = await openAndLeave(url, small);
    for (const number of numbers(2, 5)) small.publish('t', number);
    await until(() => first.seen.length === 5);
    // It comes back, and cannot catch up before it leads.
    small.refuse(502);
    back.tab.say('pageshow');
    await until(() => nextLeader() === back.tab);
    const fresh = openTab(url);
    await until(() => fresh.role() === 'follower');
    small.publish('t', '6');
    await until(() => fresh.seen.length === 1);
    first.tab.kill();
    await until(() => leader() === back.tab);
    small.refuse(200);
    await until(() => back.seen.length === 6);
    small.publish('t', '7');
    await until(() => fresh.seen.includes('7') && back.seen.length === 7);
    expect([fresh.seen, back.seen]).toEqual([['6', '7'], numbers(1, 7)]);
  });

  it('read what they have missed from a stream of their own, and only until they have it', async () => {
    const { url, small } = await node();
    const { first, follower } = await openAndLeave(url, small);
    expect(follower.made.status).toMatchObject({ state: 'waiting', why: 'hidden' });
    for (const number of numbers(2, 30)) small.publish('t', number);
    await until(() => first.seen.length === 30);
    follower.tab.say('pageshow');
    await until(() => follower.seen.length === 30);
    await until(() => small.streams.length === 1 && follower.role() === 'follower');
    small.publish('t', '31');
    await until(() => follower.seen.length === 31);
    expect(follower.seen).toEqual(numbers(1, 31));
    expect(follower.gaps).toEqual([]);
  });

  it('that come back to silence need a heartbeat to know that they have everything', async () => {
    const { url, small } = await node();
    const { first, follower } = await openAndLeave(url, small);
    small.publish('other', 'x');
    small.heartbeat();
    await until(() => first.made.cursor === id(3));
    follower.tab.say('pageshow');
    await until(() => follower.role() === 'own');
    expect(small.streams).toHaveLength(2);
    small.heartbeat();
    await until(() => follower.role() === 'follower' && small.streams.length === 1);
    small.publish('t', '2');
    await until(() => follower.seen.length === 2);
  });

  it('begin at their own first cursor, whatever the leader has read', async () => {
    const { url, small } = await node();
    small.publish('t', '1');
    const first = openTab(url);
    await until(() => first.role() === 'leader');
    small.publish('t', '2');
    await until(() => first.seen.length === 1);
    const second = openTab(url, 't', { from: 'earliest' });
    await until(() => second.seen.length === 2);
    small.publish('t', '3');
    await until(() => second.seen.length === 3 && small.streams.length === 1 && second.role() === 'follower');
    expect([first.seen, second.seen]).toEqual([['2', '3'], ['1', '2', '3']]);
  });

  it('are told a refusal, and make no more requests', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 4);
    small.refuse(403);
    small.cut();
    await until(() => tabs.every(({ made }) => made.status.state === 'closed'));
    for (const { made } of tabs) expect(made.status).toMatchObject({ why: { code: 'forbidden', status: 403 } });
    expect((tabs[1]!.made.status as { why: Error }).why).toBeInstanceOf(Error);
    const { connects } = small;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(small.connects).toBe(connects);
  });

  it('are told where the leader waits', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    vi.spyOn(Math, 'random').mockReturnValue(0.9);
    small.refuse(502);
    small.cut();
    const follower = tabs.find((each) => each !== leads(tabs))!;
    await until(() => follower.made.status.state === 'waiting');
    expect(follower.made.status).toMatchObject({ why: { code: 'network' } });
    small.refuse(200);
    await allOpen(tabs);
  });

  it('are told of gaps', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 3);
    small.streams[0]?.send(`id: ${id(50)}\nevent: gap\ndata: {"from":"a","to":"b","reason":"evicted"}\n\n`);
    await until(() => tabs.every(({ gaps }) => gaps.length === 1));
    expect(tabs[2]!.gaps).toEqual([{ from: 'a', to: 'b', reason: 'evicted' }]);
  });

  it('are told a gap where the server has no ids and the leader is another one', async () => {
    const { server } = await import('../support/setup.ts');
    const other = await server();
    other.each((exchange) => exchange.head().send('data: 1\n\n'));
    const url = `${other.url}stream`;
    const tabs = [openTab(url, []), openTab(url, []), openTab(url, [])];
    await allOpen(tabs);
    await until(() => leads(tabs).seen.length === 1);
    expect(tabs.map(({ gaps }) => gaps.length)).toEqual([0, 0, 0]);
    const first = leads(tabs);
    first.tab.kill();
    tabs.splice(tabs.indexOf(first), 1);
    await allOpen(tabs);
    await until(() => tabs.every(({ gaps }) => gaps.length === 1));
    expect(tabs[0]!.gaps).toEqual([{ from: '', to: '', reason: 'unknown' }]);
    const fresh = openTab(url, []);
    await allOpen([...tabs, fresh]);
    expect(fresh.gaps).toEqual([]);
  });

  it('leave nothing behind: no lock, channel, listener or stream', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 3);
    for (const { tab, made } of tabs) tab.run(() => made.close());
    await until(() => small.streams.length === 0);
    await until(() => left().locks.length === 0 && left().channels === 0);
    expect(tabs.map(({ tab }) => tab.listeners)).toEqual([0, 0, 0]);
    expect(leader()).toBeUndefined();
  });

  it('keep what they have for `linger` after their last subscription', async () => {
    const { url } = await node();
    const { tab, made, subscription, role } = openTab(url, 't', { linger: 60_000 });
    await until(() => role() === 'leader');
    subscription.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([leader(), role()]).toEqual([tab, 'leader']);
    tab.run(() => made.close());
    await until(() => left().locks.length === 0);
  });

  it('leave with their last subscription; one that comes back begins with what is new', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 2);
    const { tab, made } = leads(tabs);
    const seen: string[] = [];
    const again = tab.run(() => made.subscribe('t', { message: (data) => void seen.push(data) }));
    await until(() => again.status.state === 'open');
    again.close();
    expect(leader()).toBe(tab);
    const other = tabs.find((each) => each.tab !== tab)!;
    other.subscription.close();
    await until(() => other.made.status.state === 'idle');
    small.publish('t', '1');
    other.tab.run(() => other.made.subscribe('t', { message: (data) => void seen.push(data) }));
    await until(() => other.role() === 'follower');
    small.publish('t', '2');
    await until(() => seen.length);
    expect(seen).toEqual(['2']);
    leads(tabs).subscription.close();
    await until(() => leader() === other.tab);
    expect(left().channels).toBe(1);
  });

  it('that are alone send nothing', async () => {
    const { url, small } = await node();
    const tabs = await openTabs(url, 1);
    for (const number of numbers(1, 20)) small.publish('t', number);
    await until(() => tabs[0]!.seen.length === 20);
    expect(messages.filter(({ data }) => data.kind === 'blocks')).toEqual([]);
  });
});
