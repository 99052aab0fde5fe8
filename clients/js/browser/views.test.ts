/**
 * The package as it is built, in pages of React and Vue that a server draws first.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KINDS, launch, type Browser } from './support/browsers.ts';
import { bundle, type Bundled } from './support/bundle.ts';
import { ending } from './support/ending.ts';
import { startProgram, type NodeProgram } from './support/program.ts';
import { startSite, type Site } from './support/site.ts';
import { until } from './support/tabs.ts';
import type { PageOfViews, Stock, View } from './views/shop.ts';

const MOUNTS = 50;

const VIEW: View = { key: 0, visible: true, mounted: true, room: 'a' };

/** Runs in the page. */
interface Window {
  app: PageOfViews;
  endScopes(): void;
}

interface Opened {
  readonly page: Page;
  readonly node: NodeProgram;
  readonly site: Site;
  readonly html: string;
  /** Warnings and errors of the page. */
  readonly complaints: string[];
  text(id: string): Promise<string | null>;
  /** Draws one after the other. */
  draw(...changes: Partial<View>[]): Promise<void>;
  /** The stock on the server, and the event that tells a change of it. */
  sell(change: Stock): Promise<void>;
}

/** Each is bundled once. */
const bundles: Partial<Record<'react' | 'vue', Promise<Bundled>>> = {};

const opened = (node: NodeProgram): Promise<number> => node.metric('fantail_streams_opened_total');

describe.each(KINDS)('in %s', (kind) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch(kind);
  });

  afterAll(() => browser?.close());

  async function open(framework: 'react' | 'vue'): Promise<Opened> {
    const node = await ending(startProgram(['--history-events', '5']));
    const site = await ending(startSite({ url: node.url, tellsTopics: true }));
    const { script, html } = await (bundles[framework] ??= bundle(framework));
    const stock: Stock = { apples: 1 };
    site.files.set('stock.json', JSON.stringify(stock));
    site.files.set('app.js', script);
    site.files.set(
      'shop.html',
      `<!doctype html><meta charset="utf-8"><title>Shop</title><div id="root">${html}</div><script type="module" src="/app.js"></script>`,
    );
    const complaints: string[] = [];
    const page = await ending(browser.context.newPage());
    page.on('console', (line) => {
      if (['error', 'warning'].includes(line.type())) complaints.push(line.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`${site.url}shop.html`);
    return {
      page,
      node,
      site,
      html,
      complaints,
      text: (id) => page.evaluate((name) => document.getElementById(name)?.textContent ?? null, id),
      draw: (...changes) =>
        page.evaluate(
          async (views) => {
            for (const view of views) await (globalThis as unknown as Window).app.draw(view);
          },
          changes.map((change) => ({ ...VIEW, ...change })),
        ),
      async sell(change) {
        Object.assign(stock, change);
        site.files.set('stock.json', JSON.stringify(stock));
        await node.publishAll([{ topic: 'stock', event: 'stock', data: JSON.stringify(change) }]);
      },
    };
  }

  async function shows(opened: Opened, id: string, text: string): Promise<void> {
    let last: string | null = null;
    await until(async () => (last = await opened.text(id)) === text, `#${id} shows: ${text}`).catch((error: Error) => {
      throw new Error(`${error.message}; it shows: ${last}`);
    });
  }

  describe.each(['react', 'vue'] as const)('a page of %s', (framework) => {
    it(`is drawn by a server without a request, hydrates in silence, and connects once for ${MOUNTS} mounts`, async () => {
      const shop = await open(framework);
      const { node, site, page, html, draw } = shop;
      expect(html).toContain('<p id="status">idle</p>');
      expect(html).toContain('none=0 stale');
      await shows(shop, 'status', 'open');
      await shows(shop, 'stock', 'apples=1 fresh');
      const keys = Array.from({ length: MOUNTS }, (_, index) => index + 1);
      await draw(...keys.flatMap((key) => [{ key, mounted: key % 2 === 0 }, { key }]));
      await draw(...[false, true, false, true].map((visible) => ({ key: MOUNTS, visible })));
      await shows(shop, 'stock', 'apples=1 fresh');
      await node.publish('a', 'news');
      await shows(shop, 'room', 'a: news (1)');
      expect([await opened(node), site.connects]).toEqual([1, 1]);
      await page.evaluate(() => (globalThis as unknown as Window).app.end());
      await until(async () => (await node.streams()) === 0, 'the stream ends with the last view');
      expect(site.connects).toBe(1);
      const { complaints } = await page.evaluate(() => ({ complaints: (globalThis as unknown as Window).app.complaints }));
      expect([complaints, shop.complaints]).toEqual([[], []]);
    });

    it('follows a topic that changes, with at most two streams at once', async () => {
      const shop = await open(framework);
      await shows(shop, 'status', 'open');
      await shop.node.publish('a', 'one');
      await shows(shop, 'room', 'a: one (1)');
      await shop.draw({ room: 'b' });
      await until(async () => (await opened(shop.node)) === 2 && (await shop.node.streams()) === 1, 'the next stream');
      await shop.node.publish('a', 'late');
      await shop.node.publish('b', 'two');
      await shows(shop, 'room', 'b: two (2)');
      expect(shop.site.most).toBeLessThanOrEqual(2);
    });

    it('shows the right state right after a gap', async () => {
      const shop = await open(framework);
      const { site, node, sell } = shop;
      await shows(shop, 'stock', 'apples=1 fresh');
      await sell({ pears: 2 });
      await shows(shop, 'stock', 'apples=1 pears=2 fresh');
      site.refuse(503);
      await shows(shop, 'stock', 'apples=1 pears=2 stale');
      // More than the node keeps: the plums are not told any more.
      await sell({ plums: 3 });
      for (let apples = 2; apples <= 20; apples++) await sell({ apples });
      site.refuse(0);
      await shows(shop, 'stock', 'apples=20 pears=2 plums=3 fresh');
      await sell({ pears: 4 });
      await shows(shop, 'stock', 'apples=20 pears=4 plums=3 fresh');
      expect(await node.metric('fantail_gaps_total')).toBeGreaterThan(0);
    });
  });

  it('a scope of Vue that ends within its component hears nothing more', async () => {
    const shop = await open('vue');
    await shows(shop, 'status', 'open');
    await shop.node.publish('scoped', 'x');
    await shows(shop, 'scoped', '1');
    await shop.page.evaluate(() => (globalThis as unknown as Window).endScopes());
    await shop.node.publish('scoped', 'x');
    await shop.node.publish('a', 'after');
    await shows(shop, 'room', 'a: after (1)');
    expect(await shop.text('scoped')).toBe('1');
    await until(async () => (await shop.node.streams()) === 1, 'one stream');
  });
});
