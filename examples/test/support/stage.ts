/**
 * All that one test of an example needs: a node, a line to it that can be cut, the example's server,
 * and a browser.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { findApp, startApp } from '../../demo/apps.mjs';
import { nodePorts, startNode } from '../../demo/node.mjs';
import { freePort } from '../../demo/processes.mjs';
import { launch, type Browser, type Kind } from '../../../clients/js/browser/support/browsers.ts';
import { startLine, type Line } from './line.ts';

export interface StageOptions {
  /** More flags of the node. */
  readonly settings?: readonly string[];
  /** More variables of the example's server. */
  readonly environment?: Record<string, string>;
  /** Whether the history outlives a node (`state_dir`). */
  readonly keepsHistory?: boolean;
}

export interface Stage {
  /** Address of the example's page. */
  readonly url: string;
  /** The node itself, without the line. */
  readonly node: { readonly url: string; readonly redis: string; readonly admin: string };
  /** Between pages and the node. The example's server does not use it. */
  readonly line: Line;
  /**
   * Ends the node, and starts another one at the same addresses. Without `keepsHistory` it knows nothing
   * of the first. `meanwhile` runs while there is none.
   */
  restartNode(meanwhile?: () => Promise<unknown>): Promise<void>;
  /** Removes the history of `keepsHistory`; to be called while there is no node. */
  forgetHistory(): Promise<void>;
  /** Opens the page in the first browser, or in that of another person. Closed after the test. */
  open(browser?: Browser): Promise<Page>;
  /** Another browser, with cookies of its own; ended with the stage. */
  another(): Promise<Browser>;
  /** What is called at the end, last in first out. */
  atEnd(end: () => Promise<unknown>): void;
}

/** The node ends soon, and its clients come back soon, if a test says nothing else. */
const QUICK = [
  ['--drain-period', '500ms'],
  ['--retry', '500ms'],
] as const;

/** Starts it before the tests of this `describe`, and ends all of it after them, also if they fail. */
export function useStage(
  name: string,
  kind: Kind,
  { settings = [], environment = {}, keepsHistory = false }: StageOptions = {},
): Stage {
  const ends: (() => Promise<unknown>)[] = [];
  const pages = new Set<Page>();
  const browsers: Browser[] = [];
  /** What pages have met that is no success. */
  const met: string[] = [];
  /** What the node and the example's server have written. */
  let said = (): string => '';
  const stage = {} as { -readonly [K in keyof Stage]: Stage[K] };

  beforeAll(async () => {
    const ports = await nodePorts();
    const port = await freePort();
    const app = findApp(name);
    const state = keepsHistory ? await mkdtemp(join(tmpdir(), 'fantail-state-')) : undefined;
    const remove = async (): Promise<void> => {
      if (state) await rm(state, { recursive: true, force: true });
    };
    ends.push(remove);
    const quick = QUICK.filter(([flag]) => !settings.includes(flag)).flat();
    const start = () =>
      startNode({
        ports,
        origins: [`http://127.0.0.1:${port}`],
        settings: [...quick, ...settings, ...(state ? ['--state-dir', state] : [])],
      });
    let node = await start();
    ends.push(() => node.stop());
    const line = await startLine(ports.http);
    ends.push(() => line.close());
    const server = await startApp(app, { port, fantail: line.url, redis: node.redis, environment });
    ends.push(() => server.stop());
    said = () =>
      Object.entries({ 'the node': node, 'the server': server })
        .map(([name, program]) => `${name}${program.ended() ? ', which has ended' : ''}:\n${program.said()}`)
        .join('\n');

    async function another(): Promise<Browser> {
      const browser = await launch(kind);
      browsers.push(browser);
      ends.push(() => browser.close());
      return browser;
    }
    const first = await another();

    Object.assign(stage, {
      url: server.url,
      node: { url: node.url, redis: node.redis, admin: node.admin },
      line,
      async restartNode(meanwhile) {
        await node.stop();
        await meanwhile?.();
        node = await start();
      },
      forgetHistory: remove,
      async open(browser = first) {
        const page = await browser.context.newPage();
        pages.add(page);
        page.on('console', (message) => void met.push(`console: ${message.text()}`));
        page.on('requestfailed', (request) => void met.push(`${request.url()}: ${request.failure()?.errorText}`));
        await page.goto(server.url);
        return page;
      },
      another,
      atEnd: (end) => void ends.push(end),
    } satisfies Stage);
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error([task.name, ...met, said()].join('\n'));
    met.length = 0;
    // A test that failed may have left it cut.
    stage.line?.mend();
    // A browser has six connections to a host, and each stream is one.
    for (const page of pages) await page.close();
    pages.clear();
    // Each test begins with browsers that know nobody.
    for (const { context } of browsers) await context.clearCookies();
  });

  afterAll(async () => {
    const failures: unknown[] = [];
    for (const end of ends.splice(0).reverse()) await end().catch((error: unknown) => failures.push(error));
    if (failures.length) throw new AggregateError(failures, 'not all of the stage has ended');
  });

  return stage;
}
