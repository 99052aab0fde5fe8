import { describe, expect, it } from 'vitest';
import { createCover } from '../../src/share/cover.ts';
import { createHanded } from '../../src/share/handed.ts';
import { NOWHERE, placeOf, startOf, type Place } from '../../src/share/places.ts';
import type { StreamInfo } from '../../src/connection.ts';
import { id } from '../support/setup.ts';
import { until } from '../support/server.ts';
import { leader, nextLeader, useTabs } from '../support/tabs.ts';
import { allOpen, leads, node, openTab } from './support.ts';

useTabs();

const info = (cursor: string | undefined, nodeId = cursor, remembered = 0): StreamInfo => ({
  stream: 1,
  topics: [],
  cursor,
  nodeId,
  status: { state: 'idle' },
  blocks: 0,
  remembered,
});

const at = (cursor: string): Place => ({ cursor, safe: cursor });

const event = (name: string, topic = 't') => ({ id: name, data: 'x', topics: [topic] }) as const;

describe('the place of streams', () => {
  it('is the cursor of the only one, and the last id that every stream knows', () => {
    expect(placeOf([info('order-1', id(3))], NOWHERE, true)).toEqual({ cursor: 'order-1', safe: id(3) });
    expect(placeOf([{ ...info('order-1'), nodeId: undefined }], at(id(2)), true)).toEqual({ cursor: 'order-1', safe: id(2) });
    expect(placeOf([], at(id(2)), true)).toEqual(at(id(2)));
  });

  it('is any id where the server is no node', () => {
    expect(placeOf([info('urn:1', undefined)], NOWHERE, false)).toEqual(at('urn:1'));
  });

  it('is that of the one that is behind', () => {
    expect(placeOf([info(id(9)), info(id(4)), info(id(7))], at(id(1)), true)).toEqual(at(id(4)));
    expect(placeOf([info('order-1', id(5)), info(id(8))], at(id(1)), true)).toEqual(at(id(5)));
  });

  it('stays where it was while one has not begun, or ids cannot be compared', () => {
    expect(placeOf([info(id(9)), info(undefined)], at(id(1)), true)).toEqual(at(id(1)));
    expect(placeOf([info(id(9)), info('5-1.zzzzzz')], at(id(1)), true)).toEqual(at(id(1)));
    // Nothing else is known.
    expect(placeOf([info(id(9)), info(undefined)], NOWHERE, true)).toEqual(at(id(9)));
  });

  it('begins anew beyond the one that is ahead, if that is known', () => {
    expect(startOf([info(id(9)), info(id(4)), info(undefined)])).toBe(id(9));
    expect(startOf([info('order-1', id(9))])).toBe('order-1');
    expect(startOf([info('order-1', id(9)), info(id(4))])).toBeUndefined();
    expect(startOf([info(id(9), id(9), 1)])).toBeUndefined();
    expect(startOf([])).toBeUndefined();
  });
});

describe('what was handed over', () => {
  it('is not handed over again from a place of several streams, whatever the order was', () => {
    const handed = createHanded(undefined);
    handed.isSplit = true;
    for (const number of [1, 7, 9, 2, 3]) expect(handed.take(event(id(number)), [])).toEqual([]);
    handed.expect(at(id(3)));
    for (const number of [7, 9]) expect(handed.take(event(id(number)), [])).toBeUndefined();
    for (const number of [4, 5, 10]) expect(handed.take(event(id(number)), [])).toEqual([]);
  });

  it('is not in order with several streams: a block says nothing of what was before it', () => {
    const handed = createHanded(undefined);
    handed.take(event(id(1)), []);
    const has = (name: string | undefined): boolean => handed.has(name, at(id(1)));
    expect([has(id(1)), has(id(2)), has(undefined)]).toEqual([true, false, false]);
    handed.isSplit = true;
    expect(has(id(1))).toBe(false);
  });

  it('is not all of what is before a block while a request with more topics repeats it', () => {
    const handed = createHanded(undefined);
    for (const name of [id(1), 'order-2', id(5)]) handed.take(event(name), []);
    expect(handed.has('order-2', { cursor: 'order-6', safe: id(5) })).toBe(true);
    // It is back at 3: events of the topic that was added are still to come.
    handed.take(event(id(3), 'added'), []);
    expect([handed.has('order-2', at(id(3))), handed.has(id(5), at(id(3)))]).toEqual([false, false]);
  });

  it('is told by topics when one stream brings what several brought, and the other way round', () => {
    const handed = createHanded(undefined);
    handed.isSplit = true;
    handed.take(event(id(1), 'a'), []);
    expect(handed.take(event(id(1), 'b'), ['a'])).toEqual(['a']);
    handed.expect(at(id(0)));
    expect(handed.take({ id: id(1), data: 'x', topics: ['a', 'b'] }, [])).toBeUndefined();
    handed.expect(at(id(0)));
    expect(handed.take(event(id(1), 'b'), [])).toBeUndefined();
    expect(handed.take(event(id(1), 'a'), ['b'])).toBeUndefined();
    expect(handed.take(event(id(1), 'c'), ['b'])).toEqual(expect.arrayContaining(['a', 'b']));
  });

  it('is not what came to other tabs, or before this one wanted its topic', () => {
    const handed = createHanded(undefined);
    handed.isSplit = true;
    expect(handed.take(event(id(1), 'b'), ['a'])).toEqual([]);
    expect(handed.take(event(id(1), 'c'), ['a', 'b'])).toEqual(['b']);
    // The same id is another event's.
    handed.take(event('order-2', 'a'), []);
    expect(handed.take({ ...event('order-2', 'b'), data: 'y' }, ['a'])).toEqual([]);
  });

  it('ends to be expected at a place behind it, but not at that of one stream among several', () => {
    for (const isSplit of [false, true]) {
      const handed = createHanded(undefined);
      for (const name of ['order-1', id(4)]) handed.take(event(name), []);
      handed.isSplit = isSplit;
      handed.expect(at(id(1)));
      handed.take({ id: id(5), topics: [] }, []);
      expect(handed.take(event('order-1'), [])).toEqual(isSplit ? undefined : []);
    }
  });

  it('stays expected after a place of which only its publisher could tell that it is behind it', () => {
    const handed = createHanded(undefined);
    for (const name of [id(1), 'order-2', 'order-3']) handed.take(event(name), []);
    handed.expect({ cursor: 'order-2', safe: id(1) });
    // Where `order-2` is, as the prime of another request has it.
    handed.take({ id: id(2), topics: [] }, []);
    expect(handed.take(event('order-3'), [])).toBeUndefined();
    expect(handed.take(event('order-4'), [])).toEqual([]);
    // A request from that place repeats what came after it.
    handed.expect(at(id(2)));
    expect(handed.take(event('order-4'), [])).toBeUndefined();
  });
});

describe('what covers a follower', () => {
  const told = (place: Place, start: string | undefined) =>
    ({ place, start, status: { state: 'idle' }, open: [], since: 0, split: false }) as const;

  it('is reached at a block that both have had, if the leader sent in order', () => {
    for (const [place, isReached] of [[at('order-1'), true], [at(id(2)), false]] as const) {
      const cover = createCover();
      cover.begin(told(place, 'order-1'));
      cover.keep([[event('order-5'), []]]);
      expect(cover.isReached({ cursor: 'order-4', safe: id(3) })).toBe(false);
      expect(cover.isReached({ cursor: 'order-5', safe: id(3) })).toBe(isReached);
    }
  });

  it('is reached at its start, and never before it is known', () => {
    const cover = createCover();
    expect(cover.isReached(at(id(9)))).toBe(false);
    cover.begin(told(at(id(2)), id(5)));
    expect([cover.isReached(at(id(4))), cover.isReached(at(id(5))), cover.isReached(at(id(6)))]).toEqual([false, true, true]);
    cover.begin(told(NOWHERE, undefined));
    cover.keep([[{ id: id(9), topics: [] }, []]]);
    expect([cover.isReached(NOWHERE), cover.isReached(at(id(9)))]).toEqual([false, false]);
  });
});

describe('tabs that share several streams', () => {
  const options = { topicsPerStream: 1 };

  it('hear an event of several topics once', async () => {
    const { url, small } = await node();
    const tabs = [openTab(url, ['a', 'b'], options), openTab(url, ['b', 'a'], options), openTab(url, 'b', options)];
    await allOpen(tabs);
    expect(small.streams).toHaveLength(2);
    small.publish(['a', 'b'], '1');
    small.publish('b', '2');
    await until(() => tabs.every(({ seen }) => seen.includes('2')));
    for (const { seen } of tabs) expect(seen.sort()).toEqual(['1', '2']);
  });

  it('miss nothing of a stream that is ahead when they come back', async () => {
    const { url, small } = await node();
    const tabs = [openTab(url, ['a', 'b'], options), openTab(url, ['a', 'b'], options)];
    await allOpen(tabs);
    const first = leads(tabs);
    const back = tabs.find((each) => each !== first)!;
    small.publish(['a', 'b'], '1');
    await until(() => back.seen.length === 1);
    back.tab.say('pagehide');
    // One stream stands while the other one goes on.
    small.hold('b');
    for (const data of ['2', '3', '4']) small.publish('a', data);
    small.publish('b', '5');
    await until(() => first.seen.includes('4'));
    back.tab.say('pageshow');
    await until(() => back.seen.includes('4'));
    small.release();
    await until(() => back.seen.includes('5'));
    small.heartbeat();
    await until(() => back.role() === 'follower' && small.streams.length === 2);
    small.publish('b', '6');
    await until(() => tabs.every(({ seen }) => seen.includes('6')));
    for (const { seen, gaps } of tabs) expect([seen.sort(), gaps]).toEqual([['1', '2', '3', '4', '5', '6'], []]);
  });

  it('begin where the stream ahead is: what another one brings late is from before', async () => {
    const { url, small } = await node();
    const first = openTab(url, ['a', 'b'], options);
    await until(() => first.role() === 'leader');
    small.publish(['a', 'b'], '1');
    await until(() => first.seen.length === 1);
    small.hold('b');
    small.publish('b', '2');
    small.publish('a', '3');
    await until(() => first.seen.includes('3'));
    const fresh = openTab(url, ['a', 'b'], options);
    await allOpen([first, fresh]);
    small.release();
    small.publish('b', '4');
    await until(() => fresh.seen.includes('4') && first.seen.includes('4'));
    expect([fresh.seen, first.seen.sort()]).toEqual([['4'], ['1', '2', '3', '4']]);
  });

  it('go on from the stream that is behind when the leader is gone', async () => {
    const { url, small } = await node();
    const tabs = [openTab(url, ['a', 'b'], options), openTab(url, ['a', 'b'], options)];
    await allOpen(tabs);
    const first = leads(tabs);
    const next = tabs.find((each) => each !== first)!;
    small.publish(['a', 'b'], '1');
    await until(() => next.seen.length === 1);
    small.hold('b');
    small.publish('b', '2');
    for (const data of ['3', '4']) small.publish('a', data);
    await until(() => next.seen.includes('4'));
    first.tab.kill();
    small.release();
    await until(() => next.role() === 'leader' && next.seen.includes('2'));
    small.publish(['a', 'b'], '5');
    await until(() => next.seen.includes('5'));
    expect([next.seen.sort(), next.gaps]).toEqual([['1', '2', '3', '4', '5'], []]);
  });
});

describe('tabs that hear ids of publishers', () => {
  it('begin again at an id that the stream knows, not at one of a topic that only another tab had', async () => {
    const { url, small } = await node();
    const one = openTab(url, 'a');
    await until(() => leader() === one.tab && one.role() === 'leader');
    const two = openTab(url, 'b');
    await allOpen([one, two]);
    small.publish('b', '1');
    small.publish('a', '2', 'order-2');
    await until(() => one.seen.length === 1 && two.seen.length === 1 && two.made.cursor === 'order-2');
    expect(nextLeader()).toBe(two.tab);
    // It says so, and its topic goes with it.
    one.tab.run(() => one.made.close());
    small.publish('b', '3');
    await until(() => two.role() === 'leader' && two.seen.includes('3'));
    expect([two.seen, two.gaps]).toEqual([['1', '3'], []]);
  });

  it('begin at the id of a publisher where the stream has its topic', async () => {
    const { url, small } = await node();
    const { tab, role, seen } = openTab(url, 'a');
    await until(() => role() === 'leader');
    small.publish('a', '1', 'order-1');
    await until(() => seen.length === 1);
    tab.say('pagehide');
    await until(() => small.streams.length === 0);
    tab.say('pageshow');
    await until(() => role() === 'leader');
    expect(small.streams[0]?.headers['last-event-id']).toBe('order-1');
  });

  it('begin at an id of the node when their topics need several streams now', async () => {
    const { url, small } = await node();
    const { tab, role, seen, gaps, subscription, made } = openTab(url, 'a', { topicsPerStream: 1 });
    await until(() => role() === 'leader');
    small.publish('a', '1');
    small.publish('a', '2', 'order-2');
    await until(() => seen.length === 2);
    tab.say('pagehide');
    tab.run(() => subscription.add('b'));
    small.publish('b', '3');
    tab.say('pageshow');
    await until(() => role() === 'leader' && seen.includes('3'));
    expect(small.streams.map(({ headers }) => headers['last-event-id'])).toEqual([id(1), id(1)]);
    small.publish('a', '4');
    await until(() => seen.includes('4'));
    expect([seen, gaps, made.status.state]).toEqual([['1', '2', '3', '4'], [], 'open']);
  });

  it('follow again at a heartbeat when the last id that the leader had is one that they cannot compare', async () => {
    const { url, small } = await node();
    const one = openTab(url, 'a');
    await until(() => one.role() === 'leader');
    const two = openTab(url, 'b');
    await allOpen([one, two]);
    small.publish('b', '1');
    await until(() => two.seen.length === 1);
    two.tab.say('pagehide');
    small.publish('a', '2', 'order-2');
    await until(() => one.seen.length === 1);
    two.tab.say('pageshow');
    await until(() => two.role() === 'own');
    small.heartbeat();
    await until(() => two.role() === 'follower' && small.streams.length === 1);
    small.publish('b', '3');
    await until(() => two.seen.includes('3'));
    expect([two.seen, two.gaps]).toEqual([['1', '3'], []]);
  });
});
