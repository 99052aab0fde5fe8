/** What tests look for in the page of any example. */
import type { Page } from 'playwright-core';
import { until } from './until.ts';

/** Waits for the words of the page's `role="status"`, which all examples have. */
export const says = (page: Page, words: string): Promise<unknown> =>
  until(async () => (await page.getByRole('status').innerText()) === words, `the page says "${words}"`);

export const shows = (page: Page, testId: string, text: string): Promise<unknown> =>
  until(async () => (await page.getByTestId(testId).innerText()) === text, `the page's ${testId} is "${text}"`);

/** Marks a page, so that a test notices if it was loaded again. */
export const mark = (page: Page): Promise<void> => page.evaluate(() => void Object.assign(globalThis, { marked: true }));

export const isMarked = (page: Page): Promise<boolean> => page.evaluate(() => 'marked' in globalThis);
