/**
 * Tabs of a browser at the site, and what they heard.
 */
import type { Page } from 'playwright-core';
import type { Browser } from './browsers.ts';
import type { Site } from './site.ts';

export interface Heard {
  readonly seen: string[];
  readonly gaps: unknown[];
  readonly log: string[];
  readonly persisted: boolean | undefined;
  readonly tokens: number;
  readonly state: string;
  readonly role: string | undefined;
}

/** Waits for a condition with a deadline. */
export async function until<T>(what: () => Promise<T> | T, name: string, deadlineMs = 20_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${name}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

export async function openPage(browser: Browser, site: Site, query = 'topic=t'): Promise<Page> {
  const page = await browser.context.newPage();
  await page.goto(`${site.url}page?${query}`);
  return page;
}

/** Runs in the page. */
interface Window {
  /** Missing while the page loads. */
  client?: { status: { state: string; role?: string } };
  heard: Omit<Heard, 'state' | 'role'>;
}

export function hear(page: Page): Promise<Heard> {
  return page.evaluate(() => {
    const { client, heard } = globalThis as unknown as Window;
    const { state, role } = client?.status ?? { state: 'loading', role: undefined };
    return { ...heard, state, role };
  });
}

export const hearAll = (pages: readonly Page[]): Promise<Heard[]> => Promise.all(pages.map(hear));

/** All are open, and one of them leads. Returns its place. */
export async function leading(pages: readonly Page[]): Promise<number> {
  let place = -1;
  await until(async () => {
    const roles = (await hearAll(pages)).map(({ role }) => role);
    place = roles.indexOf('leader');
    return place >= 0 && roles.filter((role) => role === 'follower').length === roles.length - 1;
  }, 'one tab leads, the others follow');
  return place;
}

export const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
