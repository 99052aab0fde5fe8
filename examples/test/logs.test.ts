import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KINDS } from '../../clients/js/browser/support/browsers.ts';
import { isMarked, mark, says } from './support/pages.ts';
import { useStage, type Stage } from './support/stage.ts';
import { until } from './support/until.ts';

const AWAY = 'not connected, trying again';

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** The numbered requests in the log that a page shows. */
const linesOf = async (page: Page): Promise<number[]> =>
  (await page.locator('.line').allInnerTexts()).flatMap((text) => {
    const number = /GET \/\?line=(\d+) /.exec(text)?.[1];
    return number === undefined ? [] : [Number(number)];
  });

interface Kept {
  readonly own_id: string;
  readonly data: string;
}

/** The newest events that the node keeps. */
async function historyOf({ node }: Stage): Promise<Kept[]> {
  const answer = await fetch(`${node.url}topics/logs%2Fweb/events?limit=1000`);
  return ((await answer.json()) as { events: Kept[] }).events;
}

const gapsOf = (page: Page): Promise<string[]> => page.locator('.gap').allInnerTexts();

describe.each(KINDS)('the log in %s', (kind) => {
  // A folder for the history of the node that forgets nothing.
  let folder = '';
  const settings: string[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fantail-logs-'));
    settings.push('--state-dir', folder, '--drain-period', '500ms');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  describe('with a node that keeps its history', () => {
    const stage = useStage('logs', kind, { settings });
    let last = 0;

    /** Has the web server write that many lines more. */
    async function write(count: number): Promise<void> {
      for (const number of numbers(last + 1, last + count)) await fetch(`${stage.url}?line=${number}`);
      last += count;
    }

    /** Waits for the newest line. All lines between are there, each once. Returns the first one. */
    async function isComplete(page: Page, gaps: string[] = []): Promise<number> {
      await until(async () => (await linesOf(page)).at(-1) === last, 'the newest line is shown');
      const shown = await linesOf(page);
      const first = shown[0] as number;
      expect(shown).toEqual(numbers(first, last));
      expect(await gapsOf(page)).toEqual(gaps);
      return first;
    }

    it('shows each line once, also over a restart of the node', async () => {
      const page = await stage.open();
      await says(page, 'live');
      await mark(page);
      await write(20);
      await isComplete(page);

      // Lines before, while and after the node is away.
      const writing = write(20);
      await stage.restartNode(async () => {
        await says(page, AWAY);
        await writing;
        await write(20);
      });
      await write(20);
      expect(await isComplete(page)).toBe(1);
      await says(page, 'live');
      expect(await isMarked(page)).toBe(true);
    });

    it('shows a line once that was sent twice', async () => {
      const page = await stage.open();
      await says(page, 'live');
      await isComplete(page);
      const { own_id: id, data } = (await historyOf(stage)).filter((event) => event.data.includes('?line=')).at(-1) as Kept;
      const redis = await createClient({ url: stage.node.redis }).connect();
      await redis.xAdd('logs/web', '*', { id, data });
      await redis.close();
      await write(1);
      await isComplete(page);
    });

    it('goes on after its network was away', async () => {
      const page = await stage.open();
      await says(page, 'live');
      stage.line.cut();
      await says(page, AWAY);
      await write(10);
      stage.line.mend();
      await isComplete(page);
    });

    it('replaces a line that is silent for too long', async () => {
      const page = await stage.another().then(({ context }) => context.newPage());
      await page.clock.install();
      let streams = 0;
      page.on('request', (request) => void (new URL(request.url()).pathname === '/events' && streams++));
      await page.goto(stage.url);
      await says(page, 'live');
      await page.clock.fastForward(60_000);
      await until(() => streams === 2, 'there is another stream');
      await says(page, 'live');
      await write(3);
      await isComplete(page);
    });

    it.each([
      ['last=10', 'the last lines'],
      ['since=1h', 'the lines of a time'],
      ['', 'no line from before'],
    ])('begins, with "%s", with %s', async (from) => {
      const page = await stage.open();
      await isComplete(page);
      await page.getByLabel('From').selectOption(from);
      await page.getByRole('button', { name: 'Show' }).click();
      await page.waitForURL(/from=/);
      await says(page, 'live');
      const before = last;
      await write(3);
      // An hour ago there was no node, so it does not know what was lost then.
      const first = await isComplete(page, from === 'since=1h' ? ['some lines are missing here: the node keeps no lines that old'] : []);
      if (from === 'since=1h') expect(first).toBe(1);
      else if (from === 'last=10') expect(first).toBeGreaterThan(before - 10);
      else expect(first).toBe(before + 1);
    });

    it('says why the node refuses', async () => {
      const page = await stage.open();
      await page.goto(`${stage.url}?from=since%3Dyesterday`);
      await until(async () => /^refused: .*since/.test(await page.getByRole('status').innerText()), 'the reason is told');
    });
  });

  describe('with a node that forgets', () => {
    const stage = useStage('logs', kind, { settings: ['--drain-period', '500ms'] });

    it('says where lines are missing, and goes on', async () => {
      const page = await stage.open();
      await says(page, 'live');
      await fetch(`${stage.url}?line=1`);
      await until(async () => (await linesOf(page)).length === 1, 'the line is shown');
      await stage.restartNode();
      await fetch(`${stage.url}?line=2`);
      await until(async () => (await linesOf(page)).at(-1) === 2, 'the next line is shown');
      expect(await linesOf(page)).toEqual([1, 2]);
      expect(await gapsOf(page)).toEqual(['some lines are missing here: the node has started anew']);
    });
  });
});
