/**
 * A tab by itself, and the servers that it needs.
 */
import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import type { Browser } from './browsers.ts';
import type { Site } from './site.ts';
import { until } from './tabs.ts';

/** What the page has noted, and what its client says now. */
export interface Noted {
  readonly seen: string[];
  /** Events of a page that counts them, and those of them that were not the next number. */
  readonly count: number;
  readonly wrong: number;
  readonly gaps: unknown[];
  readonly states: string[];
  /** Delays before attempts (milliseconds). */
  readonly waits: number[];
  readonly errors: { code: string; status?: number }[];
  readonly tokens: number;
  readonly state: string;
  readonly cursor: string | undefined;
}

/** What is left in a page; see `leftovers.js`. */
export interface Leftovers {
  readonly timers: number;
  readonly listeners: string[];
  readonly readers: number;
}

interface Window {
  client: { status: { state: string }; cursor?: string; close(): void };
  heard: Omit<Noted, 'state' | 'cursor'>;
  leftovers(): Leftovers;
}

const FILES = ['alone.html', 'leftovers.js'];

export async function openAlone(browser: Browser, site: Site, query: Record<string, string>): Promise<Page> {
  for (const name of FILES) site.files.set(name, await readFile(new URL(name, import.meta.url), 'utf8'));
  const page = await browser.context.newPage();
  await page.goto(`${site.url}alone.html?${new URLSearchParams(query)}`);
  await until(async () => (await note(page)).state === 'open', 'the stream is open');
  return page;
}

export function note(page: Page): Promise<Noted> {
  return page.evaluate(() => {
    const { client, heard } = globalThis as unknown as Window;
    return { ...heard, state: client.status.state, cursor: client.cursor };
  });
}

export const leftovers = (page: Page): Promise<Leftovers> =>
  page.evaluate(() => (globalThis as unknown as Window).leftovers());

export const closeClient = (page: Page): Promise<void> =>
  page.evaluate(() => (globalThis as unknown as Window).client.close());
