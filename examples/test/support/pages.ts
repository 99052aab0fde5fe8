/** What tests look for in the page of any example. */
import type { Locator, Page } from 'playwright-core';
import { until } from './until.ts';

/** Waits until a place in the page has this text. */
function has(place: Locator, name: string, text: string): Promise<unknown> {
  let seen = '';
  return until(
    async () => (seen = await place.innerText()) === text,
    () => `the page's ${name} is "${text}", and not "${seen}"`,
  );
}

/** Waits for the words of the page's `role="status"`, which all examples have. */
export const says = (page: Page, words: string): Promise<unknown> => has(page.getByRole('status'), 'status', words);

export const shows = (page: Page, testId: string, text: string): Promise<unknown> =>
  has(page.getByTestId(testId), testId, text);

/** Marks a page, so that a test notices if it was loaded again. */
export const mark = (page: Page): Promise<void> => page.evaluate(() => void Object.assign(globalThis, { marked: true }));

export const isMarked = (page: Page): Promise<boolean> => page.evaluate(() => 'marked' in globalThis);
