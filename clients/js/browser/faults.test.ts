/**
 * What stands between a page and the node: proxies that answer for it, and answers that end anywhere.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { note, openAlone } from './support/alone.ts';
import { KINDS, launch, type Browser } from './support/browsers.ts';
import { startCutter } from './support/cutter.ts';
import { temporaryDirectory } from './support/directory.ts';
import { ending } from './support/ending.ts';
import { startGateway, type Fault } from './support/gateway.ts';
import { startProgram, type NodeProgram } from './support/program.ts';
import { startSite } from './support/site.ts';
import { until } from './support/tabs.ts';

const HTML = { 'content-type': 'text/html' };
const PROBLEM = { 'content-type': 'application/problem+json' };
const PAGE = '<!doctype html><title>502</title><h1>Bad Gateway</h1>';

/** Characters of two and of four bytes. */
const text = (number: number): string => `é${number}🦊`;

const bytes = (...values: number[]): Buffer => Buffer.from(values);
const FOX = Buffer.from('🦊');

const FAULTS: Record<string, readonly Fault[]> = {
  'a 502 with a page in HTML': [{ status: 502, headers: HTML, body: PAGE }],
  '502s in a row, and a 504': [{ status: 502 }, { status: 502, headers: HTML, body: PAGE }, { status: 504 }],
  'a 502 with Retry-After': [{ status: 502, headers: { ...HTML, 'retry-after': '1' }, body: PAGE }],
  'a 429 with Retry-After': [{ status: 429, headers: { ...PROBLEM, 'retry-after': '1' }, body: '{"title":"too many"}' }],
  'the 503 of a drain': [{ status: 503, headers: { ...PROBLEM, 'retry-after': '1' }, body: '{"title":"draining"}' }],
  'a body that ends within a block': [{ upTo: Buffer.from('\ndata: é'), how: 'end' }],
  'a body that ends after an id without its block': [{ upTo: Buffer.from('\ntopic: t\nid: '), how: 'end' }],
  'a body that ends before the empty line of a block': [{ upTo: Buffer.concat([FOX, bytes(10)]), how: 'end' }],
  'a body that ends within a character': [{ upTo: FOX.subarray(0, 2), how: 'end' }],
  'a body that ends within the CR LF of a line': [{ upTo: Buffer.concat([FOX, bytes(13)]), how: 'end', crlf: true }],
  'a body that ends within the CR LF of a block': [
    { upTo: Buffer.concat([FOX, bytes(13, 10, 13)]), how: 'end', crlf: true },
  ],
  'a connection that breaks within a block': [{ upTo: Buffer.from('\ndata: é'), how: 'cut' }],
  'a connection that breaks within a character': [{ upTo: FOX.subarray(0, 3), how: 'cut' }],
};

describe.each(KINDS)('a stream in %s loses and doubles nothing', (kind) => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch(kind);
  });

  afterAll(() => browser?.close());

  /** Publishes numbered events; `told` waits until the page has heard exactly these. */
  function events(node: NodeProgram, page: Page) {
    const published: string[] = [];
    return {
      async publish(count: number): Promise<void> {
        for (let event = 0; event < count; event++) {
          published.push(text(published.length + 1));
          await node.publish('t', published.at(-1) as string);
        }
      },
      async told(after: string): Promise<void> {
        await until(async () => (await note(page)).seen.length >= published.length, `every event after ${after}`);
        const { seen, gaps, errors } = await note(page);
        expect([seen, gaps, errors], after).toEqual([published, [], []]);
      },
    };
  }

  it('over the statuses of proxies, and answers that end within a block, a line end or a character', async () => {
    const node = await ending(startProgram());
    const gateway = await ending(startGateway(node.url));
    const site = await ending(startSite({ url: gateway.url, tellsTopics: true }));
    const page = await ending(openAlone(browser, site, { topic: 't' }));
    const { publish, told } = events(node, page);
    await publish(1);
    for (const [name, faults] of Object.entries(FAULTS)) {
      const met = gateway.met + faults.length;
      gateway.next(...faults);
      site.cut();
      // The first of them ends the answers that end within a block.
      await publish(3);
      await until(() => gateway.met === met, name);
      await publish(2);
      await told(name);
      const asks = faults.some((fault) => 'status' in fault && fault.headers?.['retry-after']);
      // Two clocks, each in whole milliseconds.
      if (asks) expect((gateway.asked.at(-1) as number) - gateway.failed, name).toBeGreaterThan(995);
    }
  });

  it('over a server that is away and refuses connections, and one that restarts with a drain', async () => {
    const directory = await ending(temporaryDirectory());
    const node = await ending(startProgram(['--cors-origins', '*', '--state-dir', directory.path, '--drain-period', '200ms']));
    const cutter = await ending(startCutter(node.url));
    const site = await ending(startSite({ url: node.url, tellsTopics: true }));
    const page = await ending(openAlone(browser, site, { topic: 't', hub: cutter.url }));
    const { publish, told } = events(node, page);
    await publish(2);
    const attempts = async (): Promise<number> => (await note(page)).waits.length;
    const before = await attempts();
    await cutter.refuse();
    await publish(2);
    await until(async () => (await attempts()) >= before + 4, 'attempts that are refused');
    await cutter.accept();
    await told('refused connections');
    await node.stop();
    await node.start();
    await publish(2);
    await told('a restart');
  });
});
