import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { KINDS } from '../../clients/js/browser/support/browsers.ts';
import { isMarked, mark, says } from './support/pages.ts';
import { useStage } from './support/stage.ts';
import { until } from './support/until.ts';

/** Prices and sizes of both sides, the best price first. */
interface Book {
  readonly bids: number[][];
  readonly asks: number[][];
  readonly change: number;
}

const numberIn = async (page: Page, testId: string): Promise<number> =>
  Number.parseFloat(await page.getByTestId(testId).innerText());

/** What a page shows, at one moment. */
const shownBy = (page: Page): Promise<Book> =>
  page.evaluate(() => {
    const text = (id: string): string => document.getElementById(id)?.textContent ?? '';
    const rows = (side: string): number[][] =>
      [...document.querySelectorAll(`#${side} tr`)].map((row) => [...row.children].map((cell) => Number(cell.textContent)));
    return { bids: rows('bids'), asks: rows('asks'), change: Number(text('change')) };
  });

describe.each(KINDS)('the order book in %s', (kind) => {
  const stage = useStage('orderbook', kind);

  /** The book of the server. */
  async function bookOfServer(): Promise<Book> {
    const { bids, asks, change } = (await (await fetch(`${stage.url}api/book`)).json()) as Book;
    return { bids: bids.sort(([a = 0], [b = 0]) => b - a), asks: asks.sort(([a = 0], [b = 0]) => a - b), change };
  }

  const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name }).click();

  const moves = async (page: Page, by: number): Promise<unknown> => {
    const before = await numberIn(page, 'change');
    return until(async () => (await numberIn(page, 'change')) >= before + by, `the book moves by ${by} changes`);
  };

  /** Stops the market. Each page comes to show its last book. */
  async function endsRight(stopper: Page, pages: readonly Page[]): Promise<void> {
    await press(stopper, 'Stop the market');
    let last = await bookOfServer();
    await until(async () => {
      const before = last.change;
      last = await bookOfServer();
      return last.change === before;
    }, 'the market stops');
    for (const page of pages) {
      // A tab in the background does not draw.
      await page.bringToFront();
      await until(async () => (await shownBy(page)).change === last.change, 'the page shows the last change', 40_000);
      expect(await shownBy(page)).toEqual(last);
    }
    await press(stopper, 'Start the market');
  }

  it('applies changes, and shows the book of the server', async () => {
    const page = await stage.open();
    await says(page, 'live');
    await until(async () => (await numberIn(page, 'applied')) > 2_000, 'the page applies changes');
    await moves(page, 2_000);
    await endsRight(page, [page]);
    await page.close();
  });

  it('stays right in a tab that is too slow for it', async () => {
    const [fast, slow] = [await stage.open(), await stage.open()];
    await says(slow, 'live');
    await slow.getByRole('checkbox').check();
    // It has taken to loading the book, because it does not apply as many changes as there are.
    await until(async () => (await numberIn(slow, 'loads')) > 2, 'the slow tab loads the book again', 40_000);
    await fast.bringToFront();
    await says(fast, 'live');
    await moves(fast, 2_000);
    await endsRight(fast, [fast, slow]);
    expect(await numberIn(slow, 'applied')).toBeLessThan(await numberIn(slow, 'change'));
    await Promise.all([fast.close(), slow.close()]);
  });

  it('loads the book again after a gap', async () => {
    const page = await stage.open();
    await says(page, 'live');
    await mark(page);
    await moves(page, 500);
    const gaps = await numberIn(page, 'gaps');
    const loads = await numberIn(page, 'loads');
    stage.line.cut();
    await until(async () => (await page.getByRole('status').innerText()).startsWith('not up to date'), 'the page notices');
    // More than the node keeps of the topic.
    const { change } = await bookOfServer();
    await until(async () => (await bookOfServer()).change > change + 3_000, 'the market moves on');
    stage.line.mend();
    await says(page, 'live');
    await until(async () => (await numberIn(page, 'gaps')) > gaps, 'the gap is told');
    await until(async () => (await numberIn(page, 'loads')) > loads, 'the book is loaded again');
    await endsRight(page, [page]);
    expect(await isMarked(page)).toBe(true);
    await page.close();
  });

  it('goes on with a node that knows nothing of the last one', async () => {
    const page = await stage.open();
    await says(page, 'live');
    await mark(page);
    await stage.restartNode();
    await says(page, 'live');
    await moves(page, 500);
    await endsRight(page, [page]);
    expect(await isMarked(page)).toBe(true);
    await page.close();
  });
});
