import { describe, expect, it, onTestFailed, vi } from 'vitest';
import { INSPECT, type Inspectable } from '../../src/client.ts';
import { until } from '../support/server.ts';
import { useTabs } from '../support/tabs.ts';
import { node, openTab, type OpenTab } from './support.ts';

useTabs(true);

/** A generator of random numbers below 1, from a seed (mulberry32). */
function dice(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const TOPICS = ['a', 'b', 'c', 'd'];

interface Watched extends OpenTab {
  readonly topics: string[];
  away: boolean;
  /** Topics that it has added. Their first events may be older than what it has heard. */
  readonly added: string[];
}

/** Lines of a tab's log that a failure shows. */
const LINES_MAX = 40;

/** A tab at the moment of a failure. */
function told({ topics, added, seen, made, log }: Watched): string {
  const { inspection } = (made as unknown as Inspectable)[INSPECT]();
  const lines = log.slice(-LINES_MAX).map((line) => JSON.stringify(line).slice(0, 200));
  return [`tab of ${topics.join()} and later ${added.join()}, ${seen.length} events`, JSON.stringify(inspection), ...lines].join('\n');
}

/** Seeds are of the environment, or fixed ones: a failure names its seed. */
const SEEDS = (process.env['SHARE_SEEDS'] ?? '1,2,3,4,5,6,7,8').split(',').map(Number);

describe('a long run of tabs that come, go, hang and are left', () => {
  it.each(SEEDS)('brings every event once and in order, to every tab (seed %i)', async (seed) => {
    const { url, small } = await node();
    const random = dice(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
    vi.spyOn(Math, 'random').mockImplementation(random);
    // Ids of publishers have no order of which a client knows.
    const ownIds = seed % 2 === 0;
    // All topics in one stream, or one or two topics a stream.
    const perStream = [100, 1, 100, 2][Math.floor(seed / 2) % 4] as number;
    const split = perStream < TOPICS.length;
    const history: { number: number; topics: string[]; isOwn: boolean }[] = [];
    let tabs: Watched[] = [];

    function open(): void {
      const topics = TOPICS.filter(() => random() < 0.5);
      if (!topics.length) topics.push(pick(TOPICS));
      tabs.push({ ...openTab(url, topics, { topicsPerStream: perStream }), topics, away: false, added: [] });
    }

    async function turn(count = 3): Promise<void> {
      for (let step = 0; step < count; step++) await new Promise((resolve) => setImmediate(resolve));
    }

    async function pass(milliseconds: number): Promise<void> {
      for (let passed = 0; passed < milliseconds; passed += 500) {
        vi.advanceTimersByTime(500);
        await turn(6);
      }
    }

    function publish(): void {
      const topics = TOPICS.filter(() => random() < 0.3);
      if (!topics.length) topics.push(pick(TOPICS));
      const number = history.length + 1;
      const isOwn = ownIds && random() < 0.2;
      history.push({ number, topics, isOwn });
      small.publish(topics, String(number), isOwn ? `order-${number}` : undefined);
    }

    onTestFailed(() => console.log([...tabs.map(told), ...small.streams.map(({ url: { search } }) => search)].join('\n\n')));
    for (let count = 0; count < 3; count++) open();
    for (let step = 0; step < 250; step++) {
      const chance = random();
      const tab = pick(tabs);
      if (chance < 0.62) for (let count = random() * 8; count > 0; count--) publish();
      else if (chance < 0.68) open();
      else if (chance < 0.74 && tabs.length > 2) {
        tab.tab.kill();
        tabs = tabs.filter((each) => each !== tab);
      } else if (chance < 0.8) {
        tab.away = !tab.away;
        tab.tab.say(tab.away ? 'pagehide' : 'pageshow');
      } else if (chance < 0.84) {
        tab.tab.frozen = true;
        if (random() < 0.5) await pass(9_000);
        for (let count = random() * 5; count > 0; count--) publish();
        await turn(10);
        tab.tab.thaw();
      } else if (chance < 0.87) small.cut();
      else if (chance < 0.92) small.heartbeat();
      else if (chance < 0.94) {
        const more = pick(TOPICS);
        if (![...tab.topics, ...tab.added].includes(more)) {
          tab.added.push(more);
          tab.tab.run(() => tab.subscription.add(more));
        }
      } else if (chance < 0.97) await new Promise((resolve) => setTimeout(resolve, random() * 120));
      else await pass(random() * 4_000);
      if (random() < 0.5) await turn(random() * 10);
    }
    for (const tab of tabs) if (tab.away) tab.tab.say('pageshow');
    // A beat may be what a tab waits for.
    for (let count = 0; count < 20 && !tabs.every(({ role }) => role()); count++) {
      await pass(500);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (let count = 0; count < 3; count++) {
      small.heartbeat();
      await pass(2_000);
    }
    const last = history.length + 1;
    history.push({ number: last, topics: TOPICS, isOwn: false });
    small.publish(TOPICS, String(last));
    await until(() => tabs.every(({ seen }) => seen.includes(String(last))), `the last event, seed ${seed}`);

    for (const { seen, gaps, topics, added } of tabs) {
      expect(gaps).toEqual([]);
      const heard = seen.map(Number);
      expect(heard.filter((number, index) => heard.indexOf(number) !== index)).toEqual([]);
      if (!ownIds && !split && !added.length) expect(heard).toEqual([...heard].sort((one, other) => one - other));
      for (const topic of [...topics, ...added]) {
        // From the first that only this topic can have brought, all of them. One with an id of its publisher
        // may be older than the tab: a client cannot compare it.
        const mine = history.filter((event) => event.topics.includes(topic)).map(({ number }) => number);
        const others = [...topics, ...added].filter((each) => each !== topic);
        const isOnly = (number: number): boolean => !history[number - 1]?.topics.some((each) => others.includes(each));
        const first = mine.find((number) => heard.includes(number) && isOnly(number) && !history[number - 1]?.isOwn) ?? last;
        const lost = mine.filter((number) => number >= first && !heard.includes(number)).map((number) => history[number - 1]);
        expect(lost, `topic ${topic} of ${topics.join()} and later ${added.join()}, from ${first}; heard ${heard.slice(0, 3).join()}…`).toEqual([]);
      }
    }
    const wanted = new Set(tabs.flatMap(({ topics, added }) => [...topics, ...added]));
    const most = split ? wanted.size : 1;
    await until(() => small.streams.length && small.streams.length <= most, `no stream but the leader's, seed ${seed}`);
  }, 60_000);
});
