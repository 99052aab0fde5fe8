/**
 * Tabs with a client that shares, and what each of them heard.
 */
import type { Client, ClientOptions, DefaultEvents, Gap, LogLine, Subscription } from '../../src/index.ts';
import { until } from '../support/server.ts';
import { smallNode, type SmallNode } from '../support/node.ts';
import { client, server } from '../support/setup.ts';
import { leader, Tab } from '../support/tabs.ts';

export interface OpenTab {
  readonly tab: Tab;
  readonly made: Client<DefaultEvents>;
  readonly subscription: Subscription;
  readonly seen: string[];
  readonly gaps: Gap[];
  readonly log: LogLine[];
  role(): string | undefined;
}

export async function node(): Promise<{ url: string; small: SmallNode }> {
  const started = await server();
  return { url: started.url, small: smallNode(started) };
}

export function openTab(
  url: string,
  topics: string | string[] = 't',
  options: Partial<ClientOptions<DefaultEvents>> = {},
  tab = new Tab(),
): OpenTab {
  return tab.run(() => {
    const seen: string[] = [];
    const gaps: Gap[] = [];
    const log: LogLine[] = [];
    const made = client({ url, share: 'user 7', fetch: tab.fetch, log: (line) => void log.push(line), ...options });
    const subscription = made.subscribe(topics, { message: (data) => void seen.push(data), gap: (gap) => void gaps.push(gap) });
    return {
      tab,
      made,
      subscription,
      seen,
      gaps,
      log,
      role: () => (made.status.state === 'open' ? made.status.role : undefined),
    };
  });
}

/** Several tabs, all open, and one of them leads. */
export async function openTabs(url: string, count: number, topics?: string | string[]): Promise<OpenTab[]> {
  const tabs = Array.from({ length: count }, () => openTab(url, topics));
  await allOpen(tabs);
  return tabs;
}

export async function allOpen(tabs: readonly OpenTab[]): Promise<void> {
  await until(
    () => tabs.every(({ role }) => role()) && tabs.filter(({ role }) => role() === 'leader').length === 1,
    `one leader, the others follow: ${tabs.map(({ made }) => JSON.stringify(made.status)).join()}`,
  );
}

export function leads(tabs: readonly OpenTab[]): OpenTab {
  const tab = leader();
  return tabs.find((each) => each.tab === tab) as OpenTab;
}

export const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
