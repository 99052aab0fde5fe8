/**
 * A page hears the node itself, across origins, over a wire that is cut.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dice } from '../test/support/dice.ts';
import { note, openAlone } from './support/alone.ts';
import { KINDS, launch, type Browser } from './support/browsers.ts';
import { startCutter, type Cutter } from './support/cutter.ts';
import { ending } from './support/ending.ts';
import { startProgram, type NodeProgram } from './support/program.ts';
import { startSite, type Site } from './support/site.ts';
import { numbers, until } from './support/tabs.ts';

const EVENTS = 1_000;
const CUTS = 20;

describe.each(KINDS)('a stream in %s', (kind) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch(kind);
  });

  afterAll(() => browser?.close());

  async function start(...settings: string[]): Promise<{ node: NodeProgram; cutter: Cutter; site: Site }> {
    const node = await ending(startProgram(['--cors-origins', '*', ...settings]));
    const cutter = await ending(startCutter(node.url));
    const site = await ending(startSite({ url: node.url, tellsTopics: true }));
    return { node, cutter, site };
  }

  it(`that is cut ${CUTS} times, at any byte, brings each of 1,000 events once and in order`, async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    const random = dice(seed);
    const { node, cutter, site } = await start();
    const page = await ending(openAlone(browser, site, { topic: 't', hub: cutter.url }));
    cutter.cutAfter(...Array.from({ length: CUTS - 1 }, () => 1 + random(2_000)));
    for (const [index, number] of numbers(1, EVENTS).entries()) {
      await node.publish('t', number);
      // The stream of the start has no limit.
      if (index === 10) cutter.cut();
    }
    await until(async () => (await note(page)).seen.length >= EVENTS && cutter.cuts >= CUTS, `all events; SEED=${seed}`);
    const { seen, gaps } = await note(page);
    expect([seen, gaps], `SEED=${seed}`).toEqual([numbers(1, EVENTS), []]);
    expect(cutter.cuts).toBe(CUTS);
    await until(async () => (await node.streams()) === 1, 'one stream at the node');
  });

  it('whose topic is silent goes on from the last heartbeat, not from its start', async () => {
    const { node, cutter, site } = await start('--heartbeat-interval', '1s', '--history-budget-bytes', '256KiB');
    const page = await ending(openAlone(browser, site, { topic: 'silent', hub: cutter.url }));
    const first = (await note(page)).cursor as string;
    // Topics that are pushed out of the history, and with them all that the node knew of their time.
    await node.publishAll(numbers(1, 300).map((number) => ({ topic: `other/${number}`, data: 'x'.repeat(2_000) })));
    const last = await node.publish('last', 'x');
    await until(async () => (await note(page)).cursor === last, 'a heartbeat with the last id of the node');
    cutter.cut();
    await until(async () => (await note(page)).states.filter((state) => state === 'open').length === 2, 'open again');
    await node.publish('silent', 'a');
    await until(async () => (await note(page)).seen.length, 'the next event');
    const { seen, gaps } = await note(page);
    expect([seen, gaps]).toEqual([['a'], []]);
    // The cursor of the start would have been one of a gap.
    const stale = await fetch(`${node.url}events/silent`, { headers: { 'last-event-id': first } });
    const reader = stale.body?.getReader();
    const text = new TextDecoder().decode((await reader?.read())?.value);
    await reader?.cancel();
    expect(text).toContain('event: gap');
  });
});
