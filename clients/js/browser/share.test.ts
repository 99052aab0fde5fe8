import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BEAT_MS, DEAD_MS } from '../src/share/heartbeat.ts';
import { KINDS, launch, type Browser } from './support/browsers.ts';
import { FULL } from './support/full.ts';
import { startNode, type TestNode } from './support/node.ts';
import { startSite, type Site } from './support/site.ts';
import { hear, hearAll, leading, numbers, openPage, until } from './support/tabs.ts';

/** Renewals of tokens of 3 s; 30 s of them are the full run. */
const TOKENS = FULL ? 13 : 4;

describe.each(KINDS)('tabs in %s', (kind) => {
  let browser: Browser;
  let node: TestNode;
  let site: Site;
  let pages: Page[];

  beforeAll(async () => {
    browser = await launch(kind);
  });

  afterAll(() => browser?.close());

  beforeEach(async () => {
    node = await startNode();
    site = await startSite(node);
    pages = [];
  });

  afterEach(async () => {
    for (const page of browser.context.pages().slice(1)) await page.close();
    await site.close();
    await node.close();
  });

  async function open(count: number, query?: string): Promise<void> {
    for (let index = 0; index < count; index++) pages.push(await openPage(browser, site, query));
  }

  /** Publishes numbers until it is stopped. Returns how many there were. */
  function publishing(everyMs: number): () => Promise<number> {
    let stopped = false;
    let count = 0;
    const done = (async () => {
      while (!stopped) {
        await node.publish('t', String(++count));
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    })();
    return async () => {
      stopped = true;
      await done;
      return count;
    };
  }

  const heardAll = (count: number): Promise<unknown> =>
    until(async () => (await hearAll(pages)).every(({ seen }) => seen.length >= count), `${count} events in each tab`);

  it('have one stream; each of 8 gets each of 200 events once, and new pages load', async () => {
    await open(8);
    await leading(pages);
    await until(() => site.streams === 1, 'one stream');
    for (const number of numbers(1, 200)) await node.publish('t', number);
    await heardAll(200);
    for (const { seen, gaps } of await hearAll(pages)) expect([seen, gaps]).toEqual([numbers(1, 200), []]);
    expect([site.streams, await node.streams()]).toEqual([1, 1]);
    for (let index = 0; index < 8; index++) {
      const page = await browser.context.newPage();
      await page.goto(`${site.url}away`, { timeout: 5_000 });
    }
  });

  it('lose and double nothing when the leader is closed 10 times at full rate; never more than 2 streams', async () => {
    await open(3);
    await leading(pages);
    await until(() => site.streams === 1, 'one stream');
    site.forget();
    const stop = publishing(2);
    for (let round = 0; round < 10; round++) {
      const leader = await leading(pages);
      const { seen, gaps } = await hear(pages[leader] as Page);
      expect([seen, gaps]).toEqual([seen.length ? numbers(Number(seen[0]), Number(seen.at(-1))) : [], []]);
      await pages[leader]?.close();
      pages.splice(leader, 1);
      pages.push(await openPage(browser, site));
      await leading(pages);
    }
    const count = await stop();
    await until(async () => (await hearAll(pages)).every(({ seen }) => seen.at(-1) === String(count)), 'the last event');
    for (const { seen, gaps } of await hearAll(pages)) {
      expect(seen).toEqual(numbers(Number(seen[0]), count));
      expect(gaps).toEqual([]);
    }
    expect(site.streams).toBe(1);
    expect(site.most).toBeLessThanOrEqual(2);
  });

  it.runIf(kind === 'chromium')('replace a leader that does not run within 8 s; it follows when it runs again', async () => {
    await open(3);
    const leader = await leading(pages);
    const zombie = pages[leader] as Page;
    const rest = pages.filter((page) => page !== zombie);
    await node.publish('t', '1');
    await heardAll(1);
    await rest[0]?.bringToFront();
    const debug = await browser.context.newCDPSession(zombie);
    await debug.send('Debugger.enable');
    const paused = new Promise((resolve) => debug.once('Debugger.paused', resolve));
    await debug.send('Debugger.pause');
    await paused;
    for (const number of numbers(2, 20)) await node.publish('t', number);
    await until(async () => (await hearAll(rest)).every(({ seen }) => seen.length === 20), 'the events after the pause');
    // How long that takes is a matter of these; `test/share/liveness.test.ts` has a clock of its own.
    expect(DEAD_MS + BEAT_MS).toBeLessThanOrEqual(8_000);
    await leading(rest);
    await debug.send('Debugger.resume');
    await debug.detach();
    await leading(pages);
    await node.publish('t', '21');
    await heardAll(21);
    for (const { seen, gaps } of await hearAll(pages)) expect([seen, gaps]).toEqual([numbers(1, 21), []]);
    await until(() => site.streams === 1, 'one stream');
  });

  it('ask for one token a period, lose nothing over its ends, and stop for good at a 403', async () => {
    site.tokenLife = 3;
    await open(4, 'topic=t&token');
    await leading(pages);
    site.forget();
    const start = performance.now();
    const stop = publishing(50);
    await until(() => site.tokens >= TOKENS, 'tokens', 60_000);
    const periods = (performance.now() - start) / 2_250;
    const count = await stop();
    await until(async () => (await hearAll(pages)).every(({ seen }) => seen.at(-1) === String(count)), 'the last event');
    for (const { seen, gaps } of await hearAll(pages)) expect([seen, gaps]).toEqual([numbers(1, count), []]);
    expect(site.tokens).toBeLessThanOrEqual(Math.ceil(periods) + 1);
    expect(site.most).toBeLessThanOrEqual(2);
    site.refuse(403);
    await until(async () => (await hearAll(pages)).every(({ state }) => state === 'closed'), 'closed everywhere');
    site.forget();
    // They would be let in again, but none of them asks: an event goes to a further tab, by its one request.
    site.refuse(0);
    const other = await openPage(browser, site, 'topic=t&share=other');
    await leading([other]);
    await node.publish('t', 'later');
    await until(async () => (await hear(other)).seen.length === 1, 'the event in the further tab');
    for (const { state, seen } of await hearAll(pages)) expect([state, seen.length]).toEqual(['closed', count]);
    expect([site.connects, site.tokens]).toEqual([1, 0]);
  });

  it('have no stream while they are away, and one without a loss when they are back', async () => {
    await open(1, 'topic=t&from=earliest');
    const [page] = pages as [Page];
    await leading(pages);
    await node.publish('t', '1');
    await heardAll(1);
    await page.goto(`${site.url}away`);
    await until(() => site.streams === 0, 'no stream');
    const { connects } = site;
    await node.publish('t', '2');
    await page.goBack({ waitUntil: 'commit' });
    await until(async () => (await hear(page)).role === 'leader', 'it leads again');
    await node.publish('t', '3');
    await heardAll(3);
    const { seen, gaps, persisted } = await hear(page);
    expect([seen, gaps]).toEqual([numbers(1, 3), []]);
    expect(site.connects).toBe(connects + 1);
    expect(site.streams).toBe(1);
    if (kind === 'chromium') expect(persisted).toBe(true);
  });

  it('that come back while another one leads read what they have missed', async () => {
    await open(2);
    const leader = await leading(pages);
    const page = pages[1 - leader] as Page;
    await node.publish('t', '1');
    await heardAll(1);
    await page.goto(`${site.url}away`);
    for (const number of numbers(2, 30)) await node.publish('t', number);
    await page.goBack({ waitUntil: 'commit' });
    await leading(pages);
    await node.publish('t', '31');
    await until(async () => (await hear(page)).seen.at(-1) === '31', 'the next event');
    const { seen, persisted } = await hear(page);
    if (persisted) expect(seen).toEqual(numbers(1, 31));
    if (kind === 'chromium') expect(persisted).toBe(true);
    await until(() => site.streams === 1, 'one stream');
  });

  it('share by a worker: one stream, no tab leads, and it ends with the last of them', async () => {
    await open(5, 'topic=t&worker=worker.js&token');
    const follow = (): Promise<unknown> =>
      until(async () => (await hearAll(pages)).every(({ role }) => role === 'follower'), 'all follow');
    await follow();
    for (const number of numbers(1, 50)) await node.publish('t', number);
    await heardAll(50);
    for (const { seen, gaps } of await hearAll(pages)) expect([seen, gaps]).toEqual([numbers(1, 50), []]);
    expect([site.streams, site.tokens]).toEqual([1, 1]);
    await pages.shift()?.close();
    await pages.shift()?.close();
    await follow();
    await node.publish('t', '51');
    await heardAll(51);
    for (const page of pages) await page.close();
    await until(() => site.streams === 0, 'no stream');
  });

  it('whose worker cannot be started have streams of their own', async () => {
    const page = await openPage(browser, site, 'topic=t&worker=none.js');
    await until(async () => (await hear(page)).role === 'own', 'it has its own');
    await node.publish('t', '1');
    await until(async () => (await hear(page)).seen.length === 1, 'the event');
  });
});
