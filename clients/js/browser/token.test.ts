/**
 * Short tokens of one tab, and a refusal for good. Four tabs: `share.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeClient, leftovers, note, openAlone } from './support/alone.ts';
import { KINDS, launch, type Browser } from './support/browsers.ts';
import { ending } from './support/ending.ts';
import { FULL } from './support/full.ts';
import { startProgram } from './support/program.ts';
import { startSite } from './support/site.ts';
import { numbers, until } from './support/tabs.ts';

/** Life of a token, in seconds. The client renews it after three quarters. */
const LIFE_S = 3;

/** Tokens that the test waits for; 30 s of them are the full run. */
const TOKENS = FULL ? 13 : 4;

describe.each(KINDS)('short tokens in %s', (kind) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch(kind);
  });

  afterAll(() => browser?.close());

  it('are asked for once a period, and no event is lost over their ends; a 403 ends all requests', async () => {
    const node = await ending(startProgram());
    const site = await ending(startSite({ url: node.url, tellsTopics: true }));
    site.tokenLife = LIFE_S;
    const page = await ending(openAlone(browser, site, { topic: 't', token: '' }));
    const start = performance.now();
    let count = 0;
    // The node ends a stream with its token: one that is too late is one more that is open.
    while (site.tokens < TOKENS) {
      await node.publish('t', String(++count));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const periods = (performance.now() - start) / (LIFE_S * 750);
    await until(async () => (await note(page)).seen.length >= count, 'every event');
    const { seen, gaps, errors } = await note(page);
    expect([seen, gaps, errors]).toEqual([numbers(1, count), [], []]);
    expect((await note(page)).tokens).toBeLessThanOrEqual(Math.ceil(periods) + 1);
    // Each token is one request, which overlaps with the one before and with no other. On a machine
    // that stalls, a stream may end with its token before that.
    const late = await node.metric('fantail_streams_closed_total{reason="expired"');
    await until(async () => site.connects >= site.tokens && (await node.streams()) === 1, 'one stream');
    expect(site.connects).toBeLessThanOrEqual(site.tokens + late);
    expect(site.most).toBe(2);

    site.refuse(403);
    await until(async () => (await note(page)).state === 'closed', 'closed');
    expect((await note(page)).errors).toEqual([{ code: 'forbidden', status: 403 }]);
    site.forget();
    // Nothing is left that could ask again, also when the page is told that it is on line.
    expect(await leftovers(page)).toEqual({ timers: 0, listeners: [], readers: 0 });
    await page.evaluate(() => {
      for (const name of ['online', 'pageshow', 'visibilitychange']) dispatchEvent(new Event(name));
    });
    await closeClient(page);
    expect([site.connects, site.tokens]).toEqual([0, 0]);
  });
});
