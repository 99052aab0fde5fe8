import { describe, expect, it } from 'vitest';
import { until } from '../support/server.ts';
import { left, mostListeners, useTabs } from '../support/tabs.ts';
import { allOpen, node, openTabs } from './support.ts';

useTabs();

describe('tabs that share', () => {
  it('wait for each other with one listener for each, however many there are', async () => {
    const { url } = await node();
    const tabs = await openTabs(url, 15);
    for (const { tab } of tabs.splice(1, 10)) tab.kill();
    for (const { tab, made } of tabs.splice(1, 2)) tab.run(() => made.close());
    await allOpen(tabs);
    // Each tab has a lock of its own, waits for the one of the leader, and the leader waits for all.
    await until(() => left().locks.length === 2 * tabs.length + tabs.length - 1);
    expect(mostListeners()).toBe(1);
  });
});
