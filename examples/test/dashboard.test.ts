import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { KINDS } from '../../clients/js/browser/support/browsers.ts';
import { isMarked, mark, says, shows } from './support/pages.ts';
import { useStage } from './support/stage.ts';
import { until } from './support/until.ts';

const AWAY = 'not connected, trying again';

const button = (page: Page, name: string) => page.getByRole('button', { name });

/** The words of each row, the newest order first. */
const rows = (page: Page): Promise<string[]> =>
  page.getByRole('row').evaluateAll((all) =>
    all.map((row) => [...row.querySelectorAll('td')].map(({ textContent }) => textContent).join(' ')),
  );

describe.each(KINDS)('the dashboard in %s', (kind) => {
  const stage = useStage('dashboard', kind);

  interface Order {
    readonly id: number;
    readonly state: string;
  }
  const ordersOf = async (): Promise<Order[]> => (await (await fetch(`${stage.url}api/orders`)).json()) as Order[];
  const place = (): Promise<Response> => fetch(`${stage.url}api/orders`, { method: 'POST' });
  const showsAll = async (page: Page): Promise<unknown> => shows(page, 'count', String((await ordersOf()).length));

  it('shows in each tab what is done in another one', async () => {
    const [one, other] = await Promise.all([stage.open(), stage.open()]);
    await Promise.all([says(one, 'live'), says(other, 'live')]);
    await button(one, 'Place an order').click();
    await shows(other, 'count', '1');
    expect(await rows(other)).toEqual(['1 coffee 12 € placed pay']);
    await shows(other, 'revenue', '0 €');

    await button(other, 'pay').click();
    await shows(one, 'revenue', '12 €');
    await button(one, 'ship').click();
    await until(async () => (await rows(other))[0] === '1 coffee 12 € shipped ', 'the order is shipped');
    await shows(other, 'revenue', '12 €');
  });

  it('shows what was there before the page', async () => {
    await place();
    const page = await stage.open();
    await says(page, 'live');
    await showsAll(page);
    await until(async () => (await rows(page))[0]?.includes('placed'), 'the newest order is on top');
  });

  it('is open in more tabs than a browser has connections, with one stream', async () => {
    const pages = await Promise.all(Array.from({ length: 7 }, () => stage.open()));
    const streams = async (): Promise<unknown[]> =>
      (await (await fetch(`${stage.node.admin}streams?topic=dashboard/orders`)).json()) as unknown[];
    for (let rest = pages; rest.length > 5; rest = rest.slice(1)) {
      await Promise.all(rest.map((page) => says(page, 'live')));
      await until(async () => (await streams()).length === 1, 'one stream');
      await place();
      await Promise.all(rest.map(showsAll));
      // Some time it is the tab that has the stream.
      await rest[0]?.close();
    }
  });

  it('draws the newest number of visitors', async () => {
    const page = await stage.open();
    const seen = new Set<string>();
    await until(async () => seen.add(await page.getByTestId('visitors').innerText()).size > 3, 'the number changes');
    seen.delete('…');
    for (const number of seen) expect(number).toMatch(/^\d+$/);
  });

  it('has what happened while its network was away, without being loaded again', async () => {
    const page = await stage.open();
    await says(page, 'live');
    await mark(page);
    stage.line.cut();
    await says(page, AWAY);
    expect(await page.locator('section').getAttribute('aria-busy')).toBe('true');
    const before = (await rows(page)).length;
    await place();
    await button(page, 'Place an order').click();
    await until(async () => (await ordersOf()).length === before + 2, 'the server has two more orders');
    expect(await rows(page)).toHaveLength(before);
    stage.line.mend();
    await says(page, 'live');
    await showsAll(page);
    expect(await isMarked(page)).toBe(true);
  });

  it('loads the orders again when the node has forgotten its events', async () => {
    const page = await stage.open();
    await says(page, 'live');
    await mark(page);
    const before = (await ordersOf()).length;
    const placed: Promise<Response>[] = [];
    await stage.restartNode(async () => {
      await says(page, AWAY);
      placed.push(place());
      await until(async () => (await ordersOf()).length > before, 'the order is saved without a node');
    });
    await says(page, 'live');
    await showsAll(page);
    expect((await placed[0])?.status).toBe(201);
    expect(await isMarked(page)).toBe(true);
  });

  it('says why the server refuses', async () => {
    const [one, other] = await Promise.all([stage.open(), stage.open()]);
    await Promise.all([says(one, 'live'), says(other, 'live')]);
    await place();
    await until(async () => (await rows(one))[0]?.endsWith('pay'), 'the new order can be paid');
    const { id } = (await ordersOf()).at(-1) as Order;
    // The page does not hear that others have paid and shipped it.
    stage.line.cut();
    await says(one, AWAY);
    for (const state of ['paid', 'shipped']) {
      const answer = await fetch(`${stage.url}api/orders/${id}/next`, { method: 'POST' });
      expect(((await answer.json()) as Order).state).toBe(state);
    }
    await button(one, 'pay').first().click();
    await until(async () => (await one.getByRole('alert').innerText()) === 'the order is shipped', 'the reason');
  });
});
