/**
 * A page that lives long: events and reconnects leave nothing behind. Chromium only: it counts for us.
 */
import type { CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeClient, leftovers, note, openAlone } from './support/alone.ts';
import { KINDS, launch, type Browser } from './support/browsers.ts';
import { startCutter } from './support/cutter.ts';
import { ending } from './support/ending.ts';
import { FULL } from './support/full.ts';
import { startProgram } from './support/program.ts';
import { startSite } from './support/site.ts';
import { until } from './support/tabs.ts';

const RECONNECTS = FULL ? 200 : 60;

/** With all reconnects, 100,000 events. */
const PER_STREAM = 500;

/** Rounds after which all code has run, and what it keeps for good is there. */
const WARM = 10;

const GROWTH_BYTES_MAX = 2 * 1024 * 1024;

/** What a stream is made of. Objects of these kinds that are still reachable are counted. */
const KINDS_OF_OBJECTS = ['Response', 'ReadableStream', 'ReadableStreamDefaultReader', 'AbortController', 'TextDecoder'];

interface Counts {
  readonly heap: number;
  readonly listeners: number;
  readonly objects: Record<string, number>;
}

/** Counts after a collection of garbage. */
async function count(debug: CDPSession): Promise<Counts> {
  await debug.send('HeapProfiler.collectGarbage');
  const objects: Record<string, number> = {};
  for (const kind of KINDS_OF_OBJECTS) {
    const prototype = await debug.send('Runtime.evaluate', { expression: `${kind}.prototype`, objectGroup: 'count' });
    const found = await debug.send('Runtime.queryObjects', {
      prototypeObjectId: prototype.result.objectId as string,
      objectGroup: 'count',
    });
    const length = await debug.send('Runtime.callFunctionOn', {
      objectId: found.objects.objectId as string,
      functionDeclaration: 'function () { return this.length; }',
      returnByValue: true,
    });
    objects[kind] = length.result.value as number;
  }
  await debug.send('Runtime.releaseObjectGroup', { objectGroup: 'count' });
  await debug.send('HeapProfiler.collectGarbage');
  const { usedSize } = await debug.send('Runtime.getHeapUsage');
  const { jsEventListeners } = await debug.send('Memory.getDOMCounters');
  return { heap: usedSize, listeners: jsEventListeners, objects };
}

describe.runIf(KINDS.includes('chromium'))('a page', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch('chromium');
  });

  afterAll(() => browser?.close());

  it(`does not grow by ${RECONNECTS * PER_STREAM} events and ${RECONNECTS} reconnects, and has nothing left after close`, async () => {
    const node = await ending(startProgram(['--cors-origins', '*']));
    const cutter = await ending(startCutter(node.url));
    const site = await ending(startSite({ url: node.url, tellsTopics: true }));
    const query = { topic: 't', hub: cutter.url, base: '1', max: '1', count: '' };
    const page: Page = await ending(openAlone(browser, site, query));
    const debug = await browser.context.newCDPSession(page);
    let before: Counts | undefined;
    for (let round = 0; round < RECONNECTS; round++) {
      const first = round * PER_STREAM + 1;
      await node.publishAll(Array.from({ length: PER_STREAM }, (_, index) => ({ topic: 't', data: String(first + index) })));
      await until(async () => (await note(page)).count >= first + PER_STREAM - 1, `round ${round}`);
      if (round === WARM) before = await count(debug);
      cutter.cut();
      await until(() => cutter.streams === 1, 'the next stream');
    }
    await until(async () => (await note(page)).state === 'open', 'open');
    const after = await count(debug);
    const { wrong, count: events, gaps } = await note(page);
    expect([wrong, events, gaps]).toEqual([0, RECONNECTS * PER_STREAM, []]);
    expect(cutter.cuts).toBe(RECONNECTS);
    expect(after.heap - (before as Counts).heap).toBeLessThan(GROWTH_BYTES_MAX);
    expect(after.objects).toEqual((before as Counts).objects);
    expect(after.listeners).toBe((before as Counts).listeners);
    expect(await leftovers(page)).toMatchObject({ timers: 1, readers: 1 });

    await closeClient(page);
    await until(() => cutter.streams === 0, 'no stream');
    expect(await leftovers(page)).toEqual({ timers: 0, listeners: [], readers: 0 });
    const end = await count(debug);
    expect(end.objects['ReadableStreamDefaultReader']).toBe(0);
    expect(end.heap - (before as Counts).heap).toBeLessThan(GROWTH_BYTES_MAX);
  });
});
